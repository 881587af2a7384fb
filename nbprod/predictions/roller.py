"""The roller: turns closed segments into Parquet, partitioned by version and day, and deletes what is too old.

It may be killed at any point: a segment is deleted only after all its Parquet files are durable, they are named by the
segment's digest, and until then readers use the segment. Several rollers wait for each other at a lock.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nbprod.entities import Fact
from nbprod.predictions.feedback import SCHEMA as FEEDBACK_SCHEMA
from nbprod.predictions.feedback import feedback_records
from nbprod.predictions.feedback import table_of as feedback_table_of
from nbprod.predictions.frames import head_of
from nbprod.predictions.journal import SCHEMA as PREDICTIONS_SCHEMA
from nbprod.predictions.orders import Order, orders_in, settle
from nbprod.predictions.places import FEEDBACK, Place, Source, Url, day_of
from nbprod.predictions.reading import BATCH, whole_records
from nbprod.predictions.rows import table_of, united
from nbprod.predictions.segments import SUFFIX, SegmentName, closed, name_of, repair_end, segments_in, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "nbprod/prediction-rows/1"
LOCK = ".roller.lock"

Kind = Literal["predictions", "feedback"]

SCHEMAS: dict[Kind, str] = {"predictions": PREDICTIONS_SCHEMA, "feedback": FEEDBACK_SCHEMA}


class Stop(Protocol):
    """An event of ``threading`` or ``multiprocessing``."""

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it was set, after so many seconds at most."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled(Fact):
    """What a roller did.

    Attributes:
        segments: names of those that are Parquet now.
        files: Parquet files that were written.
        rows: in them.
        deleted: Parquet files that were too old.
        live: segments that are still written and were left alone.
        problems: what was damaged, a sentence each.
    """

    segments: tuple[str, ...] = ()
    files: int = 0
    rows: int = 0
    deleted: int = 0
    live: int = 0
    problems: tuple[str, ...] = ()


class Roller:
    """Rolls while its lock is held; see `rolling`.

    Args:
        folder: of the predictions' segments; those of feedback are below it.
        place: where the Parquet goes.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.place = place
        self.segments: list[str] = []
        self.problems: list[str] = []
        self.files = self.rows = self.deleted = self.live = 0

    def roll(self, kind: Kind) -> None:
        """Roll the closed segments of predictions or of feedback."""
        own, place = self.parts(kind)
        for path in segments_in(own):
            with closed(path) as file:
                if file is not None:
                    self._roll(path, file, place, kind)
                else:
                    self.live += path.exists()
        settle(own)

    def parts(self, kind: Kind) -> tuple[Path, Place]:
        """Where the segments of a kind are, and where its Parquet."""
        if kind == "predictions":
            return self.folder, self.place
        return self.folder / FEEDBACK, self.place.below(FEEDBACK)

    def delete_old(self, before: float) -> None:
        """Delete the partitions of days that ended before a time in Unix seconds."""
        limit = datetime.fromtimestamp(before, UTC)
        for place in (self.place, self.place.below(FEEDBACK)):
            for source in place.parquet():
                if datetime.fromisoformat(source.day).replace(tzinfo=UTC) + timedelta(days=1) <= limit:
                    delete(place, source.path)
                    self.deleted += 1

    def result(self) -> Rolled:
        """What was done."""
        return Rolled(
            segments=tuple(self.segments),
            files=self.files,
            rows=self.rows,
            deleted=self.deleted,
            live=self.live,
            problems=tuple(self.problems),
        )

    def _roll(self, path: Path, file: int, place: Place, kind: Kind) -> None:
        """Roll one segment, whose lock is held."""
        segment = name_of(path.name)
        assert segment is not None
        if cut := repair_end(file, path):
            self.problems.append(str(cut))
        data = path.read_bytes()
        schema = head_of(data)[0].get("schema", SCHEMAS[kind])
        if schema != SCHEMAS[kind]:
            self.problems.append(f"{path}: its schema is '{schema}', which this nbprod cannot roll: upgrade nbprod.")
            return
        orders = tuple(order for order in orders_in(path.parent) if str(segment) in order.segments)
        job = Job(segment=segment, data=data, kind=kind, orders=orders)
        written = self._write(job, place)
        place.remove_parts(segment)
        for old in place.parquet():
            if old.segment == segment and old.path not in written:
                delete(place, old.path)  # from before the segment was repaired, or all its rows are to be erased
        path.unlink()
        sync_folder(path.parent)
        self.segments.append(str(segment))

    def _write(self, job: Job, place: Place) -> set[str]:
        """Write a segment's partitions; returns where they are."""
        written = set()
        digest = hashlib.sha256(job.data).hexdigest()
        about = {"schema": SCHEMA, "segment": str(job.segment), "sha256": digest}
        for version, day, table in job.tables(self.problems.append):
            if not table.num_rows:
                continue
            final = place.target(job.segment, digest, version=version, day=day)
            written.add(final)
            if job.orders or not place.files.exists(final):
                write_parquet(place, final, table, about)
                self.files += 1
            self.rows += table.num_rows
        return written


@contextmanager
def rolling(folder: Path, place: Place, *, wait: float = -1) -> Iterator[Roller]:
    """A roller, under the lock that only one of them has; filelock's ``Timeout`` after so many seconds of waiting."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK, timeout=wait):
        yield Roller(folder, place)


def roll(folder: Path, url: Url | None = None, *, retain: float | None = None, wait: float = -1) -> Rolled:
    """Roll the closed segments of a log and of its feedback, then delete partitions that are too old.

    Args:
        folder: ``.nbprod/predictions/<model>``.
        url: where the Parquet goes: a folder or any fsspec URL; default: beside the segments.
        retain: seconds; a day's partition goes when all of that day is older. None keeps all.
        wait: seconds to wait for another roller, after which nothing is done; negative for as long as it takes.
    """
    from filelock import Timeout

    place = Place.at(folder if url is None else url)
    try:
        with rolling(folder, place, wait=wait) as roller:
            roller.roll("predictions")
            roller.roll("feedback")
            if retain is not None:
                roller.delete_old(time.time() - retain)
            return roller.result()
    except Timeout:
        return Rolled()


def keep_rolling(
    folder: Path,
    url: Url | None = None,
    *,
    stop: Stop,
    every: float = 60.0,
    retain: float | None = None,
    tell: Callable[[Rolled | Exception], None] = lambda _: None,
) -> None:
    """Roll again and again until ``stop`` is set, for a thread or, better, a process of a service.

    A failure, such as of the network, is told and tried again: segments wait.

    Args:
        stop: an event of ``threading`` or ``multiprocessing``.
        every: seconds between two rounds.
    """
    while True:
        try:
            tell(roll(folder, url, retain=retain, wait=0))
        except Exception as error:
            tell(error)
        if stop.wait(every):
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A segment that is to be Parquet; of the rows that `orders` name nothing may be kept."""

    segment: SegmentName
    data: bytes
    kind: Kind
    orders: tuple[Order, ...]

    def tables(self, tell: Callable[[str], None]) -> Iterator[tuple[str | None, str, pa.Table]]:
        """Version, day and rows of every partition, one after the other; feedback has no version."""
        source = Source(files=None, path=f"{self.segment}{SUFFIX}", segment=self.segment)
        waiting: dict[tuple[str | None, str], list[Any]] = {}
        made: dict[tuple[str | None, str], list[pa.Table]] = {}
        for part, record in self._parts(source, tell):
            waiting.setdefault(part, []).append(record)
            if len(waiting[part]) == BATCH:  # as a table it takes far less memory
                made.setdefault(part, []).append(self._table(waiting.pop(part)))
        for part, records in waiting.items():
            made.setdefault(part, []).append(self._table(records))
        for (version, day), tables in made.items():
            table = united(tables)
            yield version, day, table.drop_columns(["version"]) if "version" in table.schema.names else table

    def _parts(self, source: Source, tell: Callable[[str], None]) -> Iterator[tuple[tuple[str | None, str], Any]]:
        """Every record, with the version and day that it belongs to."""
        if self.kind == "feedback":
            for said in feedback_records(source, self.data, tell):
                yield (None, day_of(said.time)), said
        else:
            for record in whole_records(source, self.data, tell):
                yield (record.version, day_of(record.time)), record

    def _table(self, records: list[Any]) -> pa.Table:
        table = (feedback_table_of if self.kind == "feedback" else table_of)(records)
        for order in self.orders:
            table = order.without(table)
        return table


def write_parquet(place: Place, final: str, table: pa.Table, about: Mapping[str, str]) -> None:
    """Put a Parquet file in its place, whole and durable, or not at all.

    Args:
        about: what the file says of itself, beside what the table's schema says already.
    """
    import pyarrow.parquet as pq

    metadata = {**(table.schema.metadata or {}), **{f"nbprod.{key}": value for key, value in about.items()}}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made")
        pq.write_table(table.replace_schema_metadata(metadata), made, compression="zstd", row_group_size=1 << 16)
        place.put(made, final)


def delete(place: Place, path: str) -> None:
    """Delete a Parquet file, and its folder if that is empty then."""
    place.files.rm_file(path)
    if place.local:
        with suppress(OSError):
            os.removedirs(posixpath.dirname(path))
