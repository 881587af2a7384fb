"""Reading: the rows of a log, in segments and in Parquet, as if they were one table; and one request by its id."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nbprod.predictions.frames import MARK, end_of, head_of
from nbprod.predictions.journal import REQUEST_AT, Damage, Record, decode, records
from nbprod.predictions.places import Source, Urls, day_of, places, sources
from nbprod.predictions.rows import OWN, PREFIX, table_of, united
from nbprod.predictions.segments import SegmentName

if TYPE_CHECKING:
    import pyarrow as pa

Moment = float | datetime
"""Unix seconds, or a datetime with its time zone."""

BATCH = 8192
"""So many records, or rows of a Parquet file, are turned into one batch."""

BLOCK = 1 << 22
TAIL = 1 << 16
SLACK = 1 << 16
"""Ids so far beyond the last one that was written may have been given out."""

_ID = re.compile(r"([0-9a-f]{16})-(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})-([1-9][0-9]{0,17})\Z")


def nothing(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows.

    Attributes:
        since, until: from (included) and to (excluded), in Unix seconds.
        versions, roles: empty for any.
        columns: their names, in order; None for all.
    """

    since: float = float("-inf")
    until: float = float("inf")
    versions: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    columns: tuple[str, ...] | None = None

    def holds(self, record: Record) -> bool:
        """Whether a record is wanted."""
        return (
            self.since <= record.time < self.until
            and (not self.versions or record.version in self.versions)
            and (not self.roles or record.role in self.roles)
        )

    def may_hold(self, source: Source) -> bool:
        """Whether a file may have rows that are wanted, judged by its place."""
        if not source.rolled:
            return True
        if self.versions and source.version not in self.versions:
            return False
        begins = datetime.fromisoformat(source.day).replace(tzinfo=UTC).timestamp()
        return begins < self.until and begins + 86400 > self.since


def seconds_of(moment: Moment | None, default: float) -> float:
    """A moment in Unix seconds."""
    if moment is None:
        return default
    return moment.timestamp() if isinstance(moment, datetime) else moment


def read(
    urls: Urls,
    *,
    since: Moment | None = None,
    until: Moment | None = None,
    versions: Collection[str] = (),
    roles: Collection[str] = (),
    columns: Sequence[str] | None = None,
    tell: Callable[[str], None] = nothing,
) -> Iterator[pa.RecordBatch]:
    """The rows of a log, one for each scored row, in batches that fit in memory; about by day, not sorted.

    Columns: request, row (its number in the request), rows (how many the request has), time, version, role, key,
    latency, prediction, then one for each input; an input that is called like one of these has ``input.`` before it.
    Types may differ from batch to batch, as the JSON did: see `read_table`.

    Args:
        urls: folders or fsspec URLs of one log.
        since, until: from (included) to (excluded).
        columns: only these, in this order; those that a batch does not have are null.
        tell: is told of damage that was passed, a sentence each. A half-written end is no damage.
    """
    wanted = Wanted(
        since=seconds_of(since, float("-inf")),
        until=seconds_of(until, float("inf")),
        versions=frozenset(versions),
        roles=frozenset(roles),
        columns=None if columns is None else tuple(columns),
    )
    for source in sources(urls):
        if wanted.may_hold(source):
            for table in tables(source, wanted, tell, urls=urls):
                yield from table.combine_chunks().to_batches()


def read_table(urls: Urls, **options: Any) -> pa.Table:
    """All rows as one table; see `read`. Where types differ the wider one holds, else text."""
    import pyarrow as pa

    return united(pa.Table.from_batches([batch]) for batch in read(urls, **options))


def tables(source: Source, wanted: Wanted, tell: Callable[[str], None], *, urls: Urls = ()) -> Iterator[pa.Table]:
    """The wanted rows of one file.

    Args:
        urls: where to look for a segment's rows if it is rolled in this moment.
    """
    if source.rolled:
        found = _rolled(source, wanted)
    else:
        try:
            data = source.files.cat_file(source.path)
        except FileNotFoundError:
            for place in places(urls):
                for other in place.parquet():
                    if other.segment == source.segment and wanted.may_hold(other):
                        yield from tables(other, wanted, tell)
            return
        found = _written(source, data, wanted, tell)
    for table in found:
        if table.num_rows:
            yield table if wanted.columns is None else _select(table, wanted.columns)


def _written(source: Source, data: bytes, wanted: Wanted, tell: Callable[[str], None]) -> Iterator[pa.Table]:
    inputs = None if wanted.columns is None else set(wanted.columns) - set(OWN)
    kept: list[Record] = []
    for record in whole_records(source, data, tell):
        if wanted.holds(record):
            kept.append(record)
            if len(kept) == BATCH:
                yield table_of(kept, inputs=inputs)
                kept = []
    if kept:
        yield table_of(kept, inputs=inputs)


def whole_records(source: Source, data: bytes, tell: Callable[[str], None]) -> Iterator[Record]:
    """The records of a segment's bytes; damage is told, except a half-written end."""
    if not head_of(data)[0] and data:
        tell(f"{source.path}: its head is damaged; its records are used.")
    for found in records(data):
        if isinstance(found, Record):
            yield found
        elif found.end < len(data):
            tell(f"{source.path}: {_damaged(found)}")


def _damaged(damage: Damage) -> str:
    return f"{damage.end - damage.start} bytes at {damage.start} are damaged and were passed; what follows is used."


def _rolled(source: Source, wanted: Wanted) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        opened = source.files.open(source.path, "rb")
    except FileNotFoundError:  # it was too old, or erased, in this moment
        return
    with opened, pq.ParquetFile(opened) as file:
        columns = None
        if wanted.columns is not None:
            columns = [name for name in file.schema_arrow.names if name in {*wanted.columns, "time", "role", "request"}]
        for batch in file.iter_batches(BATCH, columns=columns):
            table = pa.Table.from_batches([batch])
            at = table.schema.get_field_index("time") + 1
            table = table.add_column(at, "version", pa.array([source.version] * len(table), pa.string()))
            time = table["time"].cast(pa.int64())
            mask = pc.and_(pc.greater_equal(time, _micros(wanted.since)), pc.less(time, _micros(wanted.until)))
            if wanted.roles:
                mask = pc.and_(mask, pc.is_in(table["role"], pa.array(sorted(wanted.roles))))
            yield table.filter(mask)


def _micros(moment: float) -> int:
    return round(max(min(moment, 9e12), -9e12) * 1e6)


def _select(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    names = table.schema.names
    return pa.table(
        [table[name] if name in names else pa.nulls(table.num_rows) for name in columns], names=list(columns)
    )


def parse_id(request: str) -> tuple[SegmentName, int] | None:
    """The segment that was written when a request's id was given out, and its sequence; None if it is no id."""
    match = _ID.match(request)
    if not match:
        return None
    return SegmentName(boot=match[1], worker=int(match[2]), segment=int(match[3])), int(match[4])


def exists(urls: Urls, request: str) -> bool:
    """Whether a request with this id may have been answered, judged by the names and ends of files, without a search.

    False for an id that cannot be: of another form, boot or worker, or of a number that was never given out; and for
    one whose rows were deleted.
    """
    parsed = parse_id(request)
    if parsed is None:
        return False
    name, sequence = parsed
    near = (name, replace(name, segment=name.segment + 1))
    written = {source.segment: source for place in places(urls) for source in place.segments()}
    this, following = (written.get(segment) for segment in near)
    if following and sequence >= _first(following, default=sequence + 1):
        return False
    if this:
        return _first(this) <= sequence and (bool(following) or sequence <= _last(this) + SLACK)
    begun = day_of(int(name.boot[:8], 16) - 86400)  # a day for clocks that differ
    rolled = (source.segment for place in places(urls) for source in place.parquet(begun))
    return bool(following) or any(segment in near for segment in rolled)


def _first(source: Source, default: int = 0) -> int:
    """The first sequence that was given out while a segment was written."""
    try:
        found = head_of(source.files.cat_file(source.path, start=0, end=4096))[0].get("first", default)
    except FileNotFoundError:
        return default
    return int(found)


def _last(source: Source) -> int:
    """The largest sequence in the last part of a segment; very large if there is none to be seen."""
    try:
        data = source.files.tail(source.path, TAIL)
    except FileNotFoundError:
        return 2**63
    found = [id_ for item in records(data) if isinstance(item, Record) and (id_ := parse_id(item.request))]
    return max((sequence for _, sequence in found), default=0 if len(data) < TAIL else 2**63)


def find(urls: Urls, request: str) -> tuple[Record, ...]:
    """The records of one request: the answer, and what shadows and canaries said; none if there is none.

    The id names the segment that was written when it was given out; the record is in that one or in a later one.
    """
    parsed = parse_id(request)
    if parsed is None:
        return ()
    try:
        return _found(urls, request, parsed[0])
    except FileNotFoundError:  # its segment was rolled in this moment
        return _found(urls, request, parsed[0])


def _found(urls: Urls, request: str, name: SegmentName) -> tuple[Record, ...]:
    later: dict[int, list[Source]] = {}
    for source in sources(urls):
        own = source.segment
        if (own.boot, own.worker) == (name.boot, name.worker) and own.segment >= name.segment:
            later.setdefault(own.segment, []).append(source)
    found: list[Record] = []
    for number in sorted(later):
        if found and number > name.segment + 1:
            break
        for source in later[number]:
            found.extend(_in_parquet(source, request) if source.rolled else _in_segment(source, request))
    return tuple(found)


def _in_segment(source: Source, request: str) -> Iterator[Record]:
    """Search the bytes of an id where a record has it, block by block, so that no whole segment is in memory."""
    text = request.encode()
    with source.files.open(source.path, "rb") as file:
        kept, offset = b"", 0
        while block := file.read(BLOCK):
            data = kept + block
            at = data.find(text)
            while at >= 0:
                resume = file.tell()
                record = _record_at(file, offset - len(kept) + at - REQUEST_AT)
                file.seek(resume)
                if record and record.request == request:
                    yield record
                at = data.find(text, at + 1)
            offset += len(block)
            kept = data[-len(text) + 1 :]


def _record_at(file: Any, start: int) -> Record | None:
    if start < 0:
        return None
    file.seek(start)
    head = file.read(8)
    if head[:4] != MARK or len(head) < 8:
        return None
    data = head + file.read(int.from_bytes(head[4:], "little") + 4)
    end = end_of(data, 0)
    return decode(data, 0, end) if end else None


def _in_parquet(source: Source, request: str) -> Iterator[Record]:
    import pyarrow.parquet as pq

    with source.files.open(source.path, "rb") as file:
        table = pq.read_table(file, filters=[("request", "=", request)])
    names = [name for name in table.schema.names if name not in OWN]
    for role in table["role"].unique().to_pylist():
        rows = sorted((row for row in table.to_pylist() if row["role"] == role), key=lambda row: int(row["row"]))
        inputs = {
            "columns": [name.removeprefix(PREFIX) for name in names],
            "rows": [[row[n] for n in names] for row in rows],
        }
        yield Record(
            request=request,
            time=rows[0]["time"].timestamp(),
            version=source.version,
            role=role,
            inputs=json.dumps(inputs).encode() if names else b"",
            outputs=json.dumps([row["prediction"] for row in rows]).encode(),
            rows=len(rows),
            latency=rows[0]["latency"],
            key=rows[0]["key"],
        )
