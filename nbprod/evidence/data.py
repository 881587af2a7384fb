"""Rows and columns of a data file, read from its head where the format allows it."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

from nbprod.entities import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(Fact):
    """A table's size; None where the format does not tell."""

    rows: int | None = None
    columns: tuple[str, ...] | None = None


def shape_of(path: Path) -> Shape:
    """Rows and column names of a Parquet, CSV, TSV or JSON-lines file, in bounded memory; of others nothing.

    A file that is not what its name says is no error here: nothing is known of it.
    """
    name = path.name.lower()
    try:
        if path.is_dir():
            return Shape()
        if name.endswith((".parquet", ".pq")):
            return _parquet(path)
        for suffix, delimiter in ((".csv", ","), (".csv.gz", ","), (".tsv", "\t"), (".tsv.gz", "\t")):
            if name.endswith(suffix):
                return _delimited(path, delimiter)
        if name.endswith((".jsonl", ".ndjson")):
            with path.open("rb") as file:
                return Shape(rows=sum(1 for line in file if line.strip()))
    except (OSError, ValueError, csv.Error, EOFError):
        return Shape()
    return Shape()


def _parquet(path: Path) -> Shape:
    import pyarrow.parquet

    metadata = pyarrow.parquet.ParquetFile(path)
    return Shape(rows=metadata.metadata.num_rows, columns=tuple(metadata.schema_arrow.names))


def _delimited(path: Path, delimiter: str) -> Shape:
    raw = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with raw, io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter)
        head = next(reader, None)
        if head is None:
            return Shape(rows=0, columns=())
        return Shape(rows=sum(1 for row in reader if row), columns=tuple(head))
