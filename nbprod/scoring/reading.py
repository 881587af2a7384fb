"""Reading a part in pieces, so that no file is ever in memory: what columns it has, and its rows with their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbprod.errors import ArtifactError, UsageError
from nbprod.scoring import lines
from nbprod.scoring.lines import Broken
from nbprod.scoring.parts import Part, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

CELLS = 1_000_000
MOST, LEAST = 65_536, 256
"""A piece has about so many cells, and at most and at least so many rows."""

BUFFER = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a part looks like.

    Attributes:
        schema: its columns, and behind them those that only its folders name; in CSV everything is text.
        own: the names of those in the file.
        rows: how many, where that is known.
    """

    schema: pa.Schema
    own: tuple[str, ...]
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some rows of a part.

    Attributes:
        table: the columns that were asked for, in that order.
        rows: the number of each row in its file, from 1.
        lines: in a text file the line on which each row begins, from 1; None elsewhere.
        broken: rows among them that could not be read.
    """

    table: pa.Table
    rows: np.ndarray[Any, Any]
    lines: np.ndarray[Any, Any] | None = None
    broken: tuple[Broken, ...] = ()


def size_for(columns: int) -> int:
    """How many rows a piece of so many columns has."""
    return max(LEAST, min(MOST, CELLS // max(1, columns)))


def shape_of(part: Part) -> Shape:
    """Look at a part.

    Raises:
        ArtifactError: it cannot be read, or is empty.
        UsageError: two columns have one name.
    """
    import pyarrow as pa

    rows = None
    with part.open() as file, read_errors(part):
        if part.format == "csv":
            own, _ = lines.header(file, part.label)
            types = [pa.string()] * len(own)
        else:
            import pyarrow.parquet as pq

            with pq.ParquetFile(file) as found:
                own, types = found.schema_arrow.names, found.schema_arrow.types
                rows = found.metadata.num_rows
    if twice := next((name for name in own if own.count(name) > 1), None):
        raise UsageError(f"has two columns that are called '{twice}'.", file=part.label)
    added = [(name, pa.string()) for name in part.keys if name not in own]
    return Shape(schema=pa.schema([*zip(own, types, strict=True), *added]), own=tuple(own), rows=rows)


def pieces(part: Part, shape: Shape, columns: Sequence[str]) -> Iterator[Piece]:
    """The rows of a part, in order.

    Args:
        shape: what `shape_of` said.
        columns: those that are wanted, at least one; of all others nothing is read from Parquet.
    """
    own = [name for name in columns if name in shape.own] or [shape.own[0]]
    keys = {name: part.keys[name] for name in columns if name not in shape.own}
    read = _csv if part.format == "csv" else _parquet
    for piece in read(part, own, size_for(len(columns))):
        yield _with_keys(piece, keys, columns) if keys else piece


def _with_keys(piece: Piece, keys: dict[str, str], columns: Sequence[str]) -> Piece:
    import pyarrow as pa

    count = len(piece.rows)
    arrays = [
        pa.array([keys[name]], pa.string()).take(pa.array(np.zeros(count, "int64")))
        if name in keys
        else piece.table[name]
        for name in columns
    ]
    return Piece(table=pa.table(arrays, names=list(columns)), rows=piece.rows, lines=piece.lines, broken=piece.broken)


def _parquet(part: Part, columns: Sequence[str], size: int) -> Iterator[Piece]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 1
    with part.open() as file, read_errors(part), pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER) as found:
        for batch in found.iter_batches(size, columns=list(columns)):
            count = batch.num_rows
            rows = np.arange(first, first + count)
            first += count
            if count:
                yield Piece(table=pa.Table.from_batches([batch]).select(list(columns)), rows=rows)


def _csv(part: Part, columns: Sequence[str], size: int) -> Iterator[Piece]:
    first = 1
    with part.open() as file, read_errors(part):
        names, line = lines.header(file, part.label)
        for block in lines.blocks(file, line, part.label):
            table, rows, starts, broken = lines.read(block, names, columns, first=first)
            first += len(rows) + len(broken)
            for at in range(0, max(1, len(rows)), size):
                own = slice(at, at + size)
                yield Piece(
                    table=table.slice(at, size), rows=rows[own], lines=starts[own], broken=broken if at == 0 else ()
                )


@contextmanager
def read_errors(part: Part) -> Iterator[None]:
    """Say of what a reader raises which file it is about; its own words may hold values."""
    try:
        yield
    except (OSError, ValueError, NotImplementedError, EOFError) as error:  # pyarrow's are among these
        if isinstance(error, OSError) and error.errno:
            raise unreadable(part.label, error) from error
        kind = {"csv": "CSV in UTF-8", "parquet": "Parquet"}[part.format]
        raise ArtifactError(f"is not valid {kind}, or is damaged ({type(error).__name__}).", file=part.label) from error
