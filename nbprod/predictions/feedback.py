"""Feedback: what turned out to be true of a prediction, or what came of it, which is known later than the prediction.

It is only appended. What was said twice, and what contradicts what was said before, is judged when it is read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.entities import JSON, Fact
from nbprod.predictions.frames import Frame, frame, frames, head_of
from nbprod.predictions.orders import keys_of
from nbprod.predictions.places import FEEDBACK, Source, Urls, sources
from nbprod.predictions.reading import Moment, nothing, read, seconds_of
from nbprod.predictions.rows import PREFIX, array_of, united
from nbprod.predictions.segments import Fsync, Limits, Repair, SegmentWriter, repair

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "nbprod/feedback/1"

TRUTH = ""
"""The name of feedback that says what the prediction should have been; any other name is a business outcome."""

JOIN_ROWS = 1 << 18
SHOWN = 100
"""So many conflicts are listed; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback(Fact):
    """One thing that was learned about a prediction.

    Attributes:
        request: the id that was answered.
        row: its number in the request, from 0; None where the request has one row.
        name: empty for the truth, else the name of a business outcome.
        time: when it was learned, in Unix seconds.
        source: who says so.
    """

    request: str
    row: int | None = None
    name: str = TRUTH
    value: JSON = None
    time: float = field(default_factory=time.time)
    source: str = ""


class FeedbackLog:
    """Writes feedback beside the predictions, by the same means.

    Args:
        folder: that of the predictions: ``.nbprod/predictions/<model>``.

    Raises:
        JournalFull: as `Journal` does.
    """

    def __init__(
        self, folder: Path, *, model: str, worker: int = 0, fsync: Fsync = "never", limit_bytes: int = 4 << 30
    ) -> None:
        own = folder / FEEDBACK
        self.repaired: tuple[Repair, ...] = repair(own)
        limits = Limits(fsync=fsync, limit_bytes=limit_bytes)
        self._writer = SegmentWriter(own, schema=SCHEMA, model=model, worker=worker, limits=limits)

    def write(self, items: Sequence[Feedback]) -> None:
        """Write it down, all of it or nothing; JournalFull if that cannot be."""
        if items:
            self._writer.append([b"".join(frame(json.dumps(item.to_dict()).encode()) for item in items)])

    def rotate(self) -> None:
        """Give what was written to the roller."""
        self._writer.rotate()

    @property
    def lag(self) -> int:
        """Bytes that are not yet rolled."""
        return self._writer.lag

    def close(self) -> None:
        """End the log."""
        self._writer.close()


def feedback_records(source: Source, data: bytes, tell: Callable[[str], None]) -> Iterator[Feedback]:
    """The feedback in a segment's bytes; damage is told, except a half-written end."""
    if not head_of(data)[0] and data:
        tell(f"{source.path}: its head is damaged; its records are used.")
    for found in frames(data):
        item = _read(data, found)
        if item is not None:
            yield item
        elif found.end < len(data) or found.sound:
            tell(f"{source.path}: {found.end - found.start} bytes at {found.start} are damaged and were passed.")


def _read(data: bytes, found: Frame) -> Feedback | None:
    if not found.sound:
        return None
    try:
        return Feedback.from_dict(json.loads(data[found.body]))
    except (ValueError, TypeError):
        return None


def table_of(items: Sequence[Feedback]) -> pa.Table:
    """Feedback as a table: request, row, name, value (JSON text), time, source."""
    import pyarrow as pa

    return pa.table({
        "request": pa.array([item.request for item in items], pa.string()),
        "row": pa.array([item.row for item in items], pa.int32()),
        "name": pa.array([item.name for item in items], pa.string()),
        "value": pa.array([json.dumps(item.value, sort_keys=True) for item in items], pa.string()),
        "time": pa.array([round(item.time * 1e6) for item in items], pa.timestamp("us", "UTC")),
        "source": pa.array([item.source for item in items], pa.string()),
    })  # fmt: skip


def read_feedback(urls: Urls, *, as_of: Moment | None = None, tell: Callable[[str], None] = nothing) -> pa.Table:
    """All feedback of a log that was known at a time, as it was given; see `table_of` for the columns.

    Args:
        urls: those of the predictions.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = [table_of(())]
    for source in sources(urls, FEEDBACK):
        if source.rolled:
            with source.files.open(source.path, "rb") as file:
                tables.append(pq.read_table(file).replace_schema_metadata(None))
        else:
            try:
                data = source.files.cat_file(source.path)
            except FileNotFoundError:  # it was rolled in this moment
                return read_feedback(urls, as_of=as_of, tell=tell)
            tables.append(table_of(list(feedback_records(source, data, tell))))
    table = united(tables)
    limit = min(seconds_of(as_of, 9e12), 9e12)
    return table.filter(pc.less_equal(table["time"].cast("int64"), round(limit * 1e6)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict(Fact):
    """Different things that were said about the same; the last one holds.

    Attributes:
        values: as JSON text.
    """

    request: str
    row: int | None
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Feedback without repetitions.

    Attributes:
        table: request, row, name, value, time: one row for each thing that is known, with what was said last.
        said: how many records there are.
        duplicates: how many of them say again what was said before.
        conflicts: of how many things different values were said; the first of them are in `examples`.
    """

    table: pa.Table
    said: int
    duplicates: int
    conflicts: int
    examples: tuple[Conflict, ...]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the business outcomes that are known of."""
        return tuple(sorted(set(self.table["name"].unique().to_pylist()) - {TRUTH}))


def judge(feedback: pa.Table) -> Judged:
    """What holds: of the same thing the last that was said, by the time it was learned; the rest is counted."""
    import pyarrow.compute as pc

    keys = ["request", "row", "name"]
    ordered = feedback.sort_by([("time", "ascending"), ("value", "ascending")])  # so that equal times give one answer
    grouped = ordered.group_by(keys, use_threads=False).aggregate([
        ("value", "last"), ("time", "last"), ("value", "count"), ("value", "count_distinct"),
    ])  # fmt: skip
    differing = grouped.filter(pc.greater(grouped["value_count_distinct"], 1))
    shown = differing.slice(0, SHOWN)
    examples = []
    for request, row, name in zip(*(shown[key].to_pylist() for key in keys), strict=True):
        same = ordered.filter(pc.and_(pc.equal(ordered["request"], request), pc.equal(ordered["name"], name)))
        values = [v for v, r in zip(same["value"].to_pylist(), same["row"].to_pylist(), strict=True) if r == row]
        examples.append(Conflict(request=request, row=row, name=name, values=tuple(dict.fromkeys(values))))
    return Judged(
        table=grouped.select([*keys, "value_last", "time_last"]).rename_columns([*keys, "value", "time"]),
        said=feedback.num_rows,
        duplicates=feedback.num_rows - (pc.sum(grouped["value_count_distinct"]).as_py() or 0),
        conflicts=differing.num_rows,
        examples=tuple(examples),
    )


def joined(
    urls: Urls,
    *,
    as_of: Moment | None = None,
    roles: Collection[str] = ("answer", "canary", "batch"),
    columns: Sequence[str] | None = None,
    judged: Judged | None = None,
    **options: Any,
) -> Iterator[pa.RecordBatch]:
    """Predictions with what was known of them at a time: `read`'s columns, then truth, truth_time, outcome.<name>.

    What is not known is null. Feedback that names no row belongs to requests of one row only.

    Args:
        as_of: feedback that was learned later is left out; None for all.
        columns: of the predictions.
        judged: feedback that was judged before; None to read it.
        options: see `read`.
    """
    judged = judge(read_feedback(urls, as_of=as_of)) if judged is None else judged
    facts = {name: judged.table.filter(_equal(judged.table["name"], name)) for name in (TRUTH, *judged.outcomes)}
    needed = None if columns is None else list(dict.fromkeys([*columns, "request", "row", "rows"]))
    pending: list[pa.RecordBatch] = []
    for batch in read(urls, roles=roles, columns=needed, **options):
        pending.append(batch)
        if sum(map(len, pending)) >= JOIN_ROWS:
            yield from _join(pending, facts, columns)
            pending = []
    if pending:
        yield from _join(pending, facts, columns)


def _equal(column: Any, value: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(column, value)


def _join(
    batches: Sequence[pa.RecordBatch], facts: dict[str, pa.Table], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = united(pa.Table.from_batches([batch]) for batch in batches)
    exact = keys_of(table)
    whole = pc.if_else(pc.equal(table["rows"], 1), pc.binary_join_element_wise(table["request"], "", "/"), None)
    table = table if columns is None else table.select(list(columns))
    said = ("truth", "truth_time", *(f"outcome.{name}" for name in facts if name))
    table = table.rename_columns([f"{PREFIX}{name}" if name in said else name for name in table.column_names])
    for name, known in facts.items():
        keys = keys_of(known).combine_chunks()
        at = pc.coalesce(pc.index_in(exact, keys), pc.index_in(whole, keys, skip_nulls=True))
        values = known["value"].take(at).to_pylist()
        label = f"outcome.{name}" if name else "truth"
        table = table.append_column(label, array_of([None if v is None else json.loads(v) for v in values]))
        if not name:
            table = table.append_column("truth_time", known["time"].take(at))
    yield from table.combine_chunks().to_batches()
