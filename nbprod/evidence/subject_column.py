"""The IDs in a column of a data file, exactly as the file holds them: no type is guessed, no text taken for missing.

Reading a file as tables are usually read would turn ``007`` into 7, the ID ``NA`` into nothing, and long numbers beside
a gap into other numbers.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.errors import ArtifactError, nearest
from nbprod.evidence.data import CHUNK, LINES, PARQUET, SEPARATED, opened, text_of
from nbprod.evidence.subjects import Subjects, canonical_subject

if TYPE_CHECKING:
    import pyarrow

FIELD_MAX = 10_000_000
"""Characters of one field of a file of separated values; the library's own limit is lower than long texts are."""


class NoSuchColumn(ArtifactError):
    """A table has no column of that name."""


def subjects_in(path: Path, columns: Sequence[str], *, suffix: str = "") -> Subjects:
    """The IDs in some columns of a Parquet, CSV, TSV or JSON-lines file, gzipped or not, or of a folder of Parquet.

    Args:
        suffix: the file's name in lower case, where its path does not tell its format.

    Raises:
        NoSuchColumn: the table lacks one of them.
        ArtifactError: it cannot be read as a table, or a column holds what identifies nobody.
    """
    name = suffix or path.name.lower()
    try:
        ids: set[str] = set()
        missing = 0
        for column in columns:
            for values, counted in _values(path, name, column):
                found = {canonical_subject(value) for value in values}
                missing += counted + _blank(found, values)
                ids |= found
        return Subjects(ids=frozenset(ids - {""}), missing=missing)
    except TypeError as error:
        raise ArtifactError(f"holds in '{', '.join(columns)}' what identifies nobody ({error}).") from error
    except (OSError, ValueError, csv.Error, EOFError, zlib.error, ImportError) as error:
        raise ArtifactError(f"cannot be read as a table ({type(error).__name__}).") from error


def _blank(found: set[str], values: Sequence[Any]) -> int:
    return sum(1 for value in values if canonical_subject(value) == "") if "" in found else 0


def _values(path: Path, name: str, column: str) -> Iterator[tuple[Sequence[Any], int]]:
    """Lists of values, and how many further rows are known to have none."""
    bare = name.removesuffix(".gz")
    if path.is_dir() or (bare.endswith(PARQUET) and bare == name):
        yield from _parquet(path, column)
    elif bare.endswith(tuple(SEPARATED)):
        yield list(_separated(path, SEPARATED[Path(bare).suffix], column)), 0
    elif bare.endswith(LINES):
        yield list(_json_lines(path, column)), 0
    else:
        raise ArtifactError("is no table whose subjects can be found: use Parquet, CSV, TSV or JSON lines.")


def _parquet(path: Path, column: str) -> Iterator[tuple[Sequence[Any], int]]:
    import pyarrow.compute
    import pyarrow.dataset

    found = pyarrow.dataset.dataset(path, format="parquet", partitioning="hive" if path.is_dir() else None)
    _known(column, found.schema.names)
    for batch in found.to_batches(columns=[column]):
        values = batch.column(0)
        distinct = pyarrow.compute.unique(_timed(values)).drop_null()
        yield distinct.to_pylist(), values.null_count


def _timed(values: pyarrow.Array) -> pyarrow.Array:
    """Times to the microsecond: Python knows no finer ones without pandas."""
    import pyarrow

    kind = values.type
    if pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
        return values.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    return values


def _separated(path: Path, separator: str, column: str) -> Iterator[str]:
    csv.field_size_limit(FIELD_MAX)
    with text_of(path, errors="strict") as text:
        head = text.readline(CHUNK)
    if separator == "," and head.count(";") > head.count(","):
        separator = ";"
    with text_of(path, errors="strict") as text:
        reader = csv.reader(text, delimiter=separator)
        names = next(reader, [])
        place = _known(column, names)
        for row in reader:
            if len(row) > len(names):
                raise ValueError("a row is longer than the header")
            if len(row) > 1 or "".join(row).strip():
                yield row[place] if place < len(row) else ""


def _json_lines(path: Path, column: str) -> Iterator[Any]:
    seen: dict[str, None] = {}
    known = False
    with opened(path) as file:
        for line in file:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("a line is no object")
                known = known or column in row
                seen.update(dict.fromkeys(row))
                yield row.get(column)
    if not known:
        _known(column, list(seen))


def _known(column: str, names: Iterable[str]) -> int:
    known = list(names)
    if column not in known:
        raise NoSuchColumn(f"has no column '{column}'.{nearest(column, known)}")
    return known.index(column)
