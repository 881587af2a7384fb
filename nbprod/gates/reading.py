"""A data file as columns that are read when they are asked for, so that a check holds one column in memory, not all."""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.errors import ArtifactError

if TYPE_CHECKING:
    import pandas as pd

AS_TEXT: frozenset[str] = frozenset({"int", "float", "bool", "datetime", "category"})
"""The kinds of values that a file of separated values can only hold as text."""

IN_JSON: frozenset[str] = frozenset({"datetime", "category"})
"""The kinds of values that JSON can only hold as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns on demand.

    Attributes:
        names: in order, as text.
        rows: how many.
        column: position -> the column, its rows numbered from 1; whole numbers with gaps stay whole where the format
            knows of them.
        texts: the kinds of values that may stand as text, because the format has no other way.
    """

    names: tuple[str, ...]
    rows: int
    column: Callable[[int], pd.Series[Any]]
    texts: frozenset[str] = frozenset()


def table_of(source: Path | pd.DataFrame, *, text: Collection[str] = ()) -> Table:
    """A Parquet file or folder, a file of separated values or JSON lines, gzipped or not, or a table in memory.

    Args:
        text: the columns that are read as text, although they look like numbers.

    Raises:
        ArtifactError: there is no such file, it is damaged, or it is no table.
    """
    if not isinstance(source, Path):
        return _in_memory(source)
    name = source.name.lower()
    try:
        if source.is_dir() or name.endswith((".parquet", ".pq")):
            return _parquet(source)
        plain = name.removesuffix(".gz")
        if plain.endswith((".csv", ".tsv")):
            return _separated(source, "\t" if plain.endswith(".tsv") else ",", text=text)
        if plain.endswith((".jsonl", ".ndjson")):
            return _json_lines(source)
    except (OSError, EOFError, ValueError, zlib.error) as error:  # its words may hold values that are not to be shown
        raise ArtifactError(f"cannot be read as a table ({type(error).__name__}).", file=str(source)) from error
    raise ArtifactError("is no table that can be checked: use Parquet, CSV, TSV or JSON lines.", file=str(source))


def _in_memory(frame: pd.DataFrame, texts: frozenset[str] = frozenset()) -> Table:
    return Table(
        names=tuple(map(str, frame.columns)),
        rows=len(frame),
        column=lambda position: _numbered(frame.iloc[:, position]),
        texts=texts,
    )


def _numbered(values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return values.set_axis(pd.RangeIndex(1, len(values) + 1))


def _parquet(path: Path) -> Table:
    import pyarrow.dataset

    found = pyarrow.dataset.dataset(path, format="parquet", partitioning="hive" if path.is_dir() else None)
    names = tuple(found.schema.names)

    def column(position: int) -> pd.Series[Any]:
        import pandas as pd

        values = found.to_table(columns=[names[position]]).column(0)
        whole = {pyarrow.bool_(): pd.BooleanDtype()} | {
            getattr(pyarrow, name.lower())(): getattr(pd, f"{name}Dtype")()
            for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
        }
        return _numbered(values.to_pandas(types_mapper=whole.get if values.null_count else None))

    return Table(names=names, rows=found.count_rows(), column=column)


def _separated(path: Path, separator: str, *, text: Collection[str]) -> Table:
    import pandas as pd

    try:
        names = list(map(str, pd.read_csv(path, sep=separator, index_col=False, nrows=0).columns))
    except pd.errors.EmptyDataError:
        return _in_memory(pd.DataFrame())
    if separator == "," and len(names) == 1 and ";" in names[0]:
        return _separated(path, ";", text=text)
    types = {name: str for name in names if name in text}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            frame = pd.read_csv(path, sep=separator, index_col=False, low_memory=False, dtype=types)
        except pd.errors.ParserWarning as error:
            raise ArtifactError("has rows with more values than its header has names.", file=str(path)) from error
    return _in_memory(frame, AS_TEXT)


def _json_lines(path: Path) -> Table:
    import pandas as pd

    with (
        gzip.open(path, "rt", encoding="utf-8") if path.suffix.lower() == ".gz" else path.open(encoding="utf-8") as file
    ):
        rows = [json.loads(line) for line in file if line.strip()]
    return _in_memory(pd.DataFrame(rows), IN_JSON)
