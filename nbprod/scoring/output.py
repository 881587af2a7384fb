"""The output of a run: one file, or a folder with a file for each part, and beside it the rows that were rejected."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbprod.errors import UsageError
from nbprod.scoring.layout import REJECTED
from nbprod.scoring.parts import Input, Part, at, is_local, label_of, suffix_of
from nbprod.scoring.scorer import Result
from nbprod.scoring.writing import File, unpublished, written

if TYPE_CHECKING:
    import pyarrow as pa


OTHERS = (".json", ".jsonl", ".tsv", ".txt", ".xlsx", ".feather", ".arrow", ".gz")
"""Endings of files that somebody may expect; a folder of such a name would surprise."""


class Target:
    """Where the output goes; nothing is written yet.

    Args:
        url: a path or URL; what ends in .parquet, .csv or .csv.gz is a file, anything else a folder.

    Raises:
        UsageError: something is there already, it is the input, or it is named as a file of a form that is not written.
    """

    def __init__(self, url: str, source: Input, *, overwrite: bool) -> None:
        self.files, path = at(url)
        self.path = path.rstrip("/")
        self.label = label_of(self.files, self.path)
        self.folder = not suffix_of(self.path) or url.endswith("/")
        if self.folder and not url.endswith("/") and self.path.lower().endswith(OTHERS):
            raise UsageError("is no form that is written: name it .parquet, .csv or .csv.gz, or a folder.", file=url)
        suffix = "" if self.folder else suffix_of(self.path)
        self.beside = f"{self.path[: len(self.path) - len(suffix)]}.rejected{suffix or '.parquet'}"
        self.rejects = label_of(self.files, self.beside)
        self._check_input(source)
        with written(self.label):
            self._check_free(overwrite)

    def _check_input(self, source: Input) -> None:
        own = _real(self.files, self.path)
        for part in source.parts:
            if part.files == self.files and (f"{_real(part.files, part.path)}/").startswith(f"{own}/"):
                raise UsageError("is the input: name another output.", file=self.label)
        inside = source.root and own.startswith(f"{_real(self.files, source.root)}/")
        if inside and source.parts[0].files == self.files:
            raise UsageError("lies in the input's folder: name an output elsewhere.", file=self.label)

    def _check_free(self, overwrite: bool) -> None:
        if self.files.exists(self.path) and self.files.isdir(self.path) != self.folder:
            kind = "a file" if self.folder else "a folder"
            raise UsageError(f"is {kind} that is there already: move it away, or name another.", file=self.label)
        for path in (self.path, self.beside):
            if self.files.exists(path) and not overwrite:
                raise UsageError(
                    "is there already: move it away, name another, or say --overwrite.",
                    file=label_of(self.files, path),
                )


def _real(files: Any, path: str) -> str:
    return os.path.realpath(path) if is_local(files) else path


class Output:
    """Writes what was scored; nothing of it has its name before `publish`."""

    def __init__(self, target: Target, schema: pa.Schema, rejected: pa.Schema, parts: Sequence[Part]) -> None:
        self.target = target
        self.rejected = 0
        self._schema, self._rejected_schema, self._parts = schema, rejected, parts
        self._staging = unpublished(target.path)
        self._made: dict[int, File] = {}
        self._rejects: File | None = None

    def write(self, part: int, table: pa.Table) -> None:
        """Write rows of a part; parts come one after the other."""
        self._of(part).write(table.cast(self._schema))

    def reject(self, result: Result) -> None:
        """Write the rows of a piece that are bad, with the reason."""
        import pyarrow as pa

        if not result.faults:
            return
        if self._rejects is None:
            self._rejects = File(self.target.files, self.target.beside, self._rejected_schema)
        label = self._parts[result.part].label
        faults, at, found = result.faults, 0, []
        for fault in faults:
            found.append(None if fault.broken else at)
            at += not fault.broken
        own = {
            REJECTED[0]: pa.array([label] * len(faults), pa.string()),
            REJECTED[1]: pa.array([fault.row for fault in faults], pa.int64()),
            REJECTED[2]: pa.array([fault.column or None for fault in faults], pa.string()),
            REJECTED[3]: pa.array([fault.why for fault in faults], pa.string()),
        }
        places = pa.array(found, pa.int64())
        arrays = [
            own[field.name] if field.name in own else _cells(result.rejected, field, places)
            for field in self._rejected_schema
        ]
        self._rejects.write(pa.table(arrays, schema=self._rejected_schema))
        self.rejected += len(faults)

    def finish(self) -> None:
        """Make all of it whole and durable, still under temporary names."""
        for number in range(len(self._parts) if self.target.folder else 1):
            self._of(number)
        for file in self._files():
            file.finish()

    def publish(self) -> None:
        """Give everything its name: the rejected rows first."""
        files = self.target.files
        if self._rejects is not None:
            self._rejects.publish()
        else:
            with suppress(FileNotFoundError):
                files.rm_file(self.target.beside)
        for file in self._made.values():
            file.publish()
        if self.target.folder:
            with written(self.target.label):
                self._publish_folder()

    def discard(self) -> None:
        """Leave nothing of it."""
        for file in self._files():
            file.discard()
        if self.target.folder:
            with suppress(OSError):
                self.target.files.rm(self._staging, recursive=True)

    def _files(self) -> list[File]:
        return [*self._made.values(), *([] if self._rejects is None else [self._rejects])]

    def _of(self, part: int) -> File:
        number = part if self.target.folder else 0
        if number not in self._made:
            for before in self._made.values():
                before.finish()
            path = posixpath.join(self._staging, f"{self._parts[number].name}.parquet")
            self._made[number] = File(self.target.files, path if self.target.folder else self.target.path, self._schema)
        return self._made[number]

    def _publish_folder(self) -> None:
        """Move the folder as a whole where a file system can; elsewhere its files appear one after the other."""
        files, path = self.target.files, self.target.path
        if is_local(files):
            old = unpublished(path)
            if there := files.exists(path):
                os.replace(path, old)
            os.replace(self._staging, path)
            if there:
                files.rm(old, recursive=True)
            return
        if files.exists(path):
            files.rm(path, recursive=True)
        for number in range(len(self._parts)):
            name = f"{self._parts[number].name}.parquet"
            final = posixpath.join(path, name)
            files.makedirs(posixpath.dirname(final), exist_ok=True)
            files.mv(posixpath.join(self._staging, name), final)
        with suppress(OSError):
            files.rm(self._staging, recursive=True)


def _cells(table: pa.Table, field: pa.Field, places: pa.Array) -> Any:
    """A column of the rejected rows, null where a row has no cells."""
    import pyarrow as pa

    from nbprod.predictions.rows import as_text

    if field.name not in table.column_names:
        return pa.nulls(len(places), field.type)
    found = table[field.name].take(places)
    if found.type == field.type:
        return found
    return pa.array([as_text(value) for value in found.to_pylist()], pa.string())
