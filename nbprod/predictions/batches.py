"""Predictions of whole files, written straight into the log's Parquet: all of a run count at once, or none.

A run holds an empty segment open. While it is there, the Parquet files of its name do not count, and the roller takes
those of a run that was killed away; removing it is what makes all of them count.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.errors import JournalFull
from nbprod.predictions.journal import Journal
from nbprod.predictions.orders import Order, orders_in, settle
from nbprod.predictions.places import PART, Place, Url, day_of
from nbprod.predictions.roller import SCHEMA, delete, rolling, write_parquet
from nbprod.predictions.segments import name_of, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

ROLE = "batch"
KEY = "score"
"""What stands in place of a caller's key."""

ROWS = 1 << 18
"""A file of the log is followed by the next at so many rows, so that whoever erases can read one whole."""


class BatchLog:
    """The log of one run.

    Args:
        folder: ``.nbprod/predictions/<model>``.
        url: where its Parquet is; None for beside the segments.
        version: of the model that answers.

    Raises:
        JournalFull: the log cannot be written.
    """

    def __init__(self, folder: Path, url: Url | None = None, *, model: str, version: str) -> None:
        self.folder = folder
        self.rows = 0
        self.first = self.last = ""
        self._version = version
        self._journal = Journal(folder, model=model)
        self.repaired = self._journal.repaired
        segment = name_of(self._journal.next_id().rpartition("-")[0])
        assert segment is not None
        self._segment = segment
        self._place = Place.at(folder if url is None else url)
        self._files: list[str] = []
        self._writer: Any = None
        self._part = Path()
        self._about: tuple[str, Any] = ("", None)
        self._written = 0

    def write(self, prediction: Any, inputs: pa.Table, *, time: float, latency: float) -> str:
        """Write down the answers to some rows; returns the id of the request that they are.

        Args:
            prediction: one a row.
            inputs: columns as the log calls them.
            time: when they were asked, in Unix seconds.
            latency: seconds that it took to answer them all.
        """
        request = self._journal.next_id()
        count = len(prediction)
        if not count:
            return request
        with self._told():
            table = _table(request, prediction, inputs, time=time, latency=latency)
            about = (day_of(time), table.schema)
            if self._writer is not None and (about != self._about or self._written + count > ROWS):
                self._finish()
            if self._writer is None:
                self._begin(*about)
            self._writer.write_table(table, row_group_size=1 << 16)
        self._written += count
        self.rows += count
        self.first, self.last = self.first or request, request
        return request

    def finish(self) -> None:
        """Make all of it durable; it does not count yet."""
        with self._told():
            self._finish()

    def commit(self) -> None:
        """Let all of it count."""
        self.finish()
        with self._told(), rolling(self.folder, self._place):
            for order in orders_in(self.folder):  # somebody asked to be erased meanwhile
                if str(self._segment) in order.segments:
                    self._leave_out(order)
            self._journal.close()
            sync_folder(self.folder)
            settle(self.folder)

    def abort(self) -> None:
        """Leave nothing of it."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None
            self._remove_part()
        for path in self._files:
            with suppress(OSError):  # the last one may not be there yet
                delete(self._place, path)
        self._journal.close()

    def _begin(self, day: str, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        number = hashlib.sha256(f"{self._segment}/{len(self._files)}".encode()).hexdigest()
        final = self._place.target(self._segment, number, version=self._version, day=day)
        folder = Path(final).parent if self._place.local else Path(tempfile.mkdtemp(prefix="nbprod-log-"))
        folder.mkdir(parents=True, exist_ok=True)
        self._part = folder / f".{self._segment}.{len(self._files)}{PART}"
        about = {"nbprod.schema": SCHEMA, "nbprod.segment": str(self._segment)}
        texts = [field.name for field in schema if _is_text(field.type)]
        self._writer = pq.ParquetWriter(
            self._part, schema.with_metadata(about), compression="zstd", use_dictionary=texts or False
        )
        self._about, self._written = (day, schema), 0
        self._files.append(final)

    def _finish(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
            if self._place.local:
                self._rename()
            else:
                self._place.put(self._part, self._files[-1])
        finally:
            self._remove_part()

    def _rename(self) -> None:
        """Give the file its name, durably."""
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self._part, self._files[-1])
        folder, root = self._part.parent, Path(self._place.root)
        while folder != root.parent:  # the folders may be new
            sync_folder(folder)
            folder = folder.parent

    def _remove_part(self) -> None:
        self._part.unlink(missing_ok=True)
        if not self._place.local:
            self._part.parent.rmdir()

    def _leave_out(self, order: Order) -> None:
        import pyarrow.parquet as pq

        for path in self._files:
            with self._place.files.open(path, "rb") as file:
                table = pq.read_table(file)
            left = order.without(table)
            if left.num_rows < table.num_rows:
                write_parquet(self._place, path, left, {})

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in the log's words that it cannot be written."""
        try:
            yield
        except OSError as error:
            raise JournalFull(
                f"the prediction log cannot be written ({error.strerror or error}): make room on its disk, then score "
                "again.",
                file=str(self.folder),
            ) from error


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind))


def _table(request: str, prediction: Any, inputs: pa.Table, *, time: float, latency: float) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    count = len(prediction)
    zeros = pa.array(np.zeros(count, "int32"))

    def same(value: Any, kind: pa.DataType) -> pa.Array:
        return pa.array([value], kind).take(zeros)

    own: Sequence[tuple[str, Any]] = (
        ("request", same(request, pa.string())),
        ("row", pa.array(np.arange(count, dtype="int32"))),
        ("rows", same(count, pa.int32())),
        ("time", same(round(time * 1e6), pa.timestamp("us", "UTC"))),
        ("role", same(ROLE, pa.string())),
        ("key", same(KEY, pa.string())),
        ("latency", same(latency, pa.float64())),
        ("prediction", _as_logged(prediction)),
    )
    return pa.table([*(values for _, values in own), *inputs.columns], names=[*dict(own), *inputs.column_names])


def _as_logged(prediction: Any) -> Any:
    """Numbers of 32 bits are of 64 in the log, as those that come from JSON are."""
    import pyarrow as pa

    return prediction.cast(pa.float64()) if pa.types.is_floating(prediction.type) else prediction
