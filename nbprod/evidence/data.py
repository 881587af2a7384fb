"""Rows and columns of a data file, from its head where the format allows it, else counted in bounded memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from nbprod.entities import Fact

CHUNK = 1 << 20

SEPARATED = {".csv": ",", ".tsv": "\t"}
"""Suffix -> what separates its columns; a header in which semicolons do is recognised."""

LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(Fact):
    """A table's size; None where the format does not tell.

    Attributes:
        rows: without the header.
        columns: their names, in order.
    """

    rows: int | None = None
    columns: tuple[str, ...] | None = None


def shape_of(path: Path) -> Shape:
    """Rows and column names of a Parquet, CSV, TSV or JSON-lines file, gzipped or not, or of a folder of Parquet."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    try:
        if path.is_dir():
            return _folder(path)
        if suffix in PARQUET and not path.name.lower().endswith(".gz"):
            return _parquet(path)
        if suffix in SEPARATED:
            return _separated(path, SEPARATED[suffix])
        if suffix in LINES:
            return _json_lines(path)
    except (OSError, ValueError, csv.Error, EOFError, zlib.error, ImportError):
        return Shape()
    return Shape()


def _parquet(path: Path) -> Shape:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        return Shape(rows=file.metadata.num_rows, columns=tuple(file.schema_arrow.names))


def _folder(path: Path) -> Shape:
    """A dataset in several Parquet files; what its folders' names say is no column here."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith(("_", ".")))
    if not files or any(file.suffix.lower() not in PARQUET for file in files):
        return Shape()
    shapes = [_parquet(file) for file in files]
    return Shape(rows=sum(shape.rows or 0 for shape in shapes), columns=shapes[0].columns)


def opened(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked if it is gzipped."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else path.open("rb")


def _separated(path: Path, separator: str) -> Shape:
    with text_of(path) as text:
        head = text.readline(CHUNK)
    if "\0" in head:
        return Shape()  # UTF-16 or no text at all
    if separator == "," and head.count(";") > head.count(","):
        separator = ";"
    columns = next(csv.reader([head], delimiter=separator), [])
    if not columns:
        return Shape() if head else Shape(rows=0, columns=())
    with opened(path) as file:
        lines = _count_lines(file, unless=b'"')
    if lines is not None:
        return Shape(rows=lines - 1, columns=tuple(columns))
    with text_of(path) as text:
        reader = csv.reader(text, delimiter=separator)
        columns = next(reader)
        return Shape(rows=sum(1 for row in reader if len(row) > 1 or "".join(row).strip()), columns=tuple(columns))


def text_of(path: Path, *, errors: str = "replace") -> io.TextIOWrapper:
    """The text of a file, as the csv module wants it.

    Args:
        errors: what becomes of bytes that are no UTF-8, as Python's codecs call it.
    """
    return io.TextIOWrapper(opened(path), encoding="utf-8-sig", errors=errors, newline="")


def _json_lines(path: Path) -> Shape:
    with opened(path) as file:
        rows = _count_lines(file)
    with opened(path) as file:
        first = json.loads(file.readline(CHUNK) or b"null")
    return Shape(rows=rows, columns=tuple(first) if isinstance(first, dict) else None)


def _count_lines(file: IO[bytes], *, unless: bytes = b"") -> int | None:
    """How many lines are not blank; None as soon as ``unless`` is met: a quoted field may hold a line break."""
    count, pending = 0, False
    for chunk in _chunks(file):
        if unless and unless in chunk:
            return None
        *whole, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            if pending or line.strip():
                count += 1
            pending = False
        pending = pending or bool(rest.strip())
    return count + pending


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
