"""CSV in blocks of whole rows: pyarrow reads a block, and Python's slower reader those in which something is wrong.

A line ends a row where the quotes before it are even in number, so each block knows the line on which it begins.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbprod.errors import ArtifactError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 8 << 20
LONGEST = 64 << 20
"""Bytes that one row may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A row that is none: it has too many or too few cells.

    Attributes:
        row: its number, from 1.
        line: on which it begins, from 1.
    """

    row: int
    line: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Whole rows.

    Attributes:
        line: the line on which it begins, from 1.
    """

    data: bytes
    line: int


def header(file: Any, label: str) -> tuple[list[str], int]:
    """The names of the columns, and the line behind them, where the file then stands.

    Raises:
        ArtifactError: there are none.
    """
    line = file.readline()
    while line and line.count(b'"') % 2:  # a name may hold a line's end
        more = file.readline()
        if not more or len(line) > LONGEST:
            raise ArtifactError("its first line begins a quoted text that does not end.", file=label, line=1)
        line += more
    names = next(csv.reader(io.StringIO(line.decode("utf-8-sig"), newline="")), [])
    if not any(names):
        raise ArtifactError("is empty: its first line must name the columns.", file=label)
    return names, line.count(b"\n") + 1


def blocks(file: Any, line: int, label: str) -> Iterator[Block]:
    """The rows that are left, in blocks.

    Args:
        line: the one that comes next.

    Raises:
        ArtifactError: a row is larger than `LONGEST`.
    """
    rest = b""
    while True:
        read = file.read(BLOCK)
        data = rest + read
        if not read:
            if data.strip(b"\r\n"):
                yield Block(data=data if data.endswith(b"\n") else data + b"\n", line=line)
            return
        end = _last_end(data)
        if not end and len(data) > LONGEST:
            raise ArtifactError("begins a quoted text that does not end.", file=label, line=line)
        if end:
            yield Block(data=data[:end], line=line)
            line += data.count(b"\n", 0, end)
        rest = data[end:]


def _last_end(data: bytes) -> int:
    """Where the last whole row ends; 0 if none does."""
    end = data.rfind(b"\n") + 1
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        before = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def read(
    block: Block, names: Sequence[str], columns: Sequence[str], *, first: int
) -> tuple[pa.Table, np.ndarray[Any, Any], np.ndarray[Any, Any], tuple[Broken, ...]]:
    """A block's columns as text, the number of each row, the line on which it begins, and the rows that are none.

    Args:
        first: the number of its first row.
    """
    import pyarrow as pa
    import pyarrow.csv

    odd: list[Any] = []

    def skip(row: Any) -> str:
        odd.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        io.BytesIO(block.data),
        read_options=pyarrow.csv.ReadOptions(column_names=list(names), block_size=2 * LONGEST, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, include_columns=list(columns)
        ),
    )
    count = table.num_rows
    if not odd and count == block.data.count(b"\n"):
        rows = np.arange(first, first + count)
        return table, rows, np.arange(block.line, block.line + count), ()
    return _slowly(block, names, columns, first)


def _slowly(
    block: Block, names: Sequence[str], columns: Sequence[str], first: int
) -> tuple[pa.Table, np.ndarray[Any, Any], np.ndarray[Any, Any], tuple[Broken, ...]]:
    import pyarrow as pa

    cells: list[list[str]] = []
    rows, starts, broken = [], [], []
    reader = csv.reader(io.StringIO(block.data.decode("utf-8"), newline=""), strict=True)
    number, line = first, block.line
    while True:
        try:
            found = next(reader)
        except StopIteration:
            break
        except csv.Error:
            broken.append(
                Broken(row=number, line=line, why="the row has a quote where none may be, or that does not end")
            )
            number, line = number + 1, block.line + reader.line_num
            continue
        if len(found) == len(names):
            cells.append(found)
            rows.append(number)
            starts.append(line)
        elif found:
            why = f"the row has {len(found)} cells, and the first line has {len(names)}"
            broken.append(Broken(row=number, line=line, why=why))
        number += bool(found)
        line = block.line + reader.line_num
    places = [names.index(name) for name in columns]
    table = pa.table({name: pa.array([row[at] for row in cells], pa.string())
                      for name, at in zip(columns, places, strict=True)})  # fmt: skip
    return table, np.array(rows, "int64"), np.array(starts, "int64"), tuple(broken)
