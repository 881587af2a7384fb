"""Writing a table: under a temporary name, piece by piece, and under its own when all of it is there."""

from __future__ import annotations

import gzip
import os
import posixpath
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from nbprod.errors import ArtifactError
from nbprod.predictions.rows import as_text
from nbprod.scoring.parts import SUFFIXES, is_local, label_of, suffix_of

if TYPE_CHECKING:
    import pyarrow as pa


def unpublished(name: str) -> str:
    """A new name for what is not whole yet; what a killed run leaves is called like this."""
    return f".{name}.{secrets.token_hex(4)}.new"


class File:
    """One table that is written; it appears when it is published."""

    def __init__(self, files: Any, path: str, schema: pa.Schema) -> None:
        self.path, self.rows = path, 0
        self._whole = False
        self._files = files
        folder, name = posixpath.split(path)
        self._part = posixpath.join(folder, unpublished(name))
        self._label = label_of(files, path)
        with written(self._label):
            if folder:
                files.makedirs(folder, exist_ok=True)
            self._file = files.open(self._part, "wb")
            self._open = [self._file]
            self._writer = self._made(schema)

    def _made(self, schema: pa.Schema) -> Any:
        import pyarrow as pa

        suffix = suffix_of(self.path)
        if SUFFIXES[suffix] == "parquet":
            import pyarrow.parquet as pq

            texts = [field.name for field in schema if pa.types.is_string(field.type)]
            self._flat = False
            return pq.ParquetWriter(self._file, schema, compression="zstd", use_dictionary=texts or False)
        import pyarrow.csv

        self._flat = True
        target = self._file
        if suffix.endswith(".gz"):
            target = gzip.GzipFile(fileobj=self._file, mode="wb", filename="", mtime=0)
            self._open.insert(0, target)
        return pyarrow.csv.CSVWriter(target, _flat_schema(schema), write_options=_csv_options())

    def write(self, table: pa.Table) -> None:
        """Write rows, of the schema that it was made with."""
        with written(self._label):
            self._writer.write_table(_flat(table) if self._flat else table)
        self.rows += table.num_rows

    def finish(self) -> None:
        """Make it whole and durable, still under its temporary name."""
        if self._whole:
            return
        with written(self._label):
            self._writer.close()
            for file in self._open:
                if file is self._file and is_local(self._files):
                    file.flush()
                    os.fsync(file.fileno())
                file.close()
            self._open, self._whole = [], True

    def publish(self) -> None:
        """Finish it and give it its name."""
        self.finish()
        with written(self._label):
            if is_local(self._files):
                os.replace(self._part, self.path)
            else:
                self._files.mv(self._part, self.path)

    def discard(self) -> None:
        """Leave nothing of it."""
        for step in (self._writer.close, *(file.close for file in self._open)):
            with suppress(Exception):  # a disk that is full fails here again
                step()
        with suppress(OSError):
            self._files.rm_file(self._part)


@contextmanager
def written(label: str) -> Iterator[None]:
    """Say which file cannot be written."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ArtifactError(f"cannot be written ({why}): nothing of it is left.", file=label) from error


def _csv_options() -> Any:
    import pyarrow.csv

    return pyarrow.csv.WriteOptions(quoting_style="needed")


def _flat_schema(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field.with_type(pa.string()) if pa.types.is_nested(field.type) else field for field in schema])


def _flat(table: pa.Table) -> pa.Table:
    """Lists and objects as JSON text, which is all that CSV can hold of them."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = pa.array([as_text(value) for value in table.column(number).to_pylist()], pa.string())
            table = table.set_column(number, field.name, texts)
    return table
