"""Rows: records as Arrow tables with one row for each scored row, and tables of other types brought together."""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from nbprod.predictions.journal import Record
from nbprod.predictions.packed import MARK, unpacked

if TYPE_CHECKING:
    import pyarrow as pa

OWN = ("request", "row", "rows", "time", "version", "role", "key", "latency", "prediction")
"""The columns of every table of predictions, before those of the inputs."""

PREFIX = "input."

INT64 = 2**63


def column_of(name: str) -> str:
    """The column of an input: its name, with ``input.`` before it where that would be one of nbprod's own columns."""
    return f"{PREFIX}{name}" if name in OWN or name.startswith(PREFIX) else name


def table_of(records: Sequence[Record], *, inputs: Collection[str] | None = None) -> pa.Table:
    """Records as a table; inputs that are not there are null.

    What cannot be read as JSON, or has not as many rows as its record says, gives nulls.

    Args:
        inputs: the input columns that are wanted, as the table calls them; None for all.
    """
    import pyarrow as pa

    arrays = {name: pa.array(values, kind) for name, values, kind in _own(records)}
    arrays["prediction"] = array_of(_predictions(records))
    wanted = inputs is None or bool(inputs)
    for name, values in _inputs(records).items() if wanted else ():
        column = column_of(name)
        if inputs is None or column in inputs:
            arrays[column] = array_of(values)
    return pa.table(arrays)


def _own(records: Sequence[Record]) -> Iterator[tuple[str, list[Any], pa.DataType]]:
    import pyarrow as pa

    text, many = pa.string(), [record.rows for record in records]
    yield "request", _spread([record.request for record in records], many), text
    yield "row", [row for rows in many for row in range(rows)], pa.int32()
    yield "rows", _spread(many, many), pa.int32()
    yield "time", _spread([round(record.time * 1e6) for record in records], many), pa.timestamp("us", "UTC")
    yield "version", _spread([record.version for record in records], many), text
    yield "role", _spread([record.role for record in records], many), text
    yield "key", _spread([record.key for record in records], many), text
    yield "latency", _spread([record.latency for record in records], many), pa.float64()


def _spread(values: list[Any], many: list[int]) -> list[Any]:
    return [value for value, rows in zip(values, many, strict=True) for _ in range(rows)]


def _loaded(text: bytes) -> Any:
    if not text:
        return None
    try:
        return _fastest()(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text)  # takes NaN and infinities too
    except (ValueError, RecursionError):
        return None


@cache
def _fastest() -> Callable[[bytes], Any]:
    """What reads JSON: orjson where it is installed, as it is where models are served."""
    try:
        import orjson
    except ImportError:
        return json.loads
    return orjson.loads


def _predictions(records: Sequence[Record]) -> list[Any]:
    values: list[Any] = []
    for record in records:
        found = _loaded(record.outputs)
        values.extend(
            found if isinstance(found, list) and len(found) == record.rows else itertools.repeat(None, record.rows)
        )
    return values


def _inputs(records: Sequence[Record]) -> dict[str, list[Any]]:
    """Name -> value of every row, transposed at once for all neighbours that have the same columns."""
    cells: dict[str, list[Any]] = {}
    total = 0
    for names, group in itertools.groupby(map(_lines, records), key=operator.itemgetter(0)):
        lines = [line for _, own in group for line in own]
        for name, values in zip(names, zip(*lines, strict=True), strict=True) if lines else ():
            column = cells.setdefault(name, [])
            column.extend(itertools.repeat(None, total - len(column)))
            column.extend(values)
        total += len(lines)
    for column in cells.values():
        column.extend(itertools.repeat(None, total - len(column)))
    return cells


def _lines(record: Record) -> tuple[list[str], list[list[Any]]]:
    """The names and rows of a record's inputs; no names where there are none or they make no sense."""
    if record.inputs[:1] == MARK:
        with suppress(ValueError):
            own, table = unpacked(record.inputs)
            if len(table) == record.rows:
                return own, table
        return [], [[]] * record.rows
    found = _loaded(record.inputs)
    if isinstance(found, dict):
        names, lines = found.get("columns"), found.get("rows")
        if isinstance(names, list) and isinstance(lines, list) and len(lines) == record.rows:
            width = len(names)
            if all(isinstance(line, list) and len(line) == width for line in lines):
                return list(map(str, names)), lines
    return [], [[]] * record.rows


def array_of(values: Sequence[Any]) -> pa.Array:
    """JSON values as one array: numbers, text, booleans or lists of numbers; what is mixed is kept as JSON text."""
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds <= {int, float} and float in kinds:
        return pa.array(
            [None if value is None else float(value) for value in values] if int in kinds else values, pa.float64()
        )
    simple = {frozenset({bool}): pa.bool_(), frozenset({str}): pa.string(), frozenset({int}): pa.int64()}
    kind = simple.get(frozenset(kinds))
    if kind is not None and (kinds != {int} or all(v is None or -INT64 <= v < INT64 for v in values)):
        return pa.array(values, kind)
    if kinds == {list} and all(type(v) in (int, float) for value in values if value for v in value):
        lists = [None if value is None else [float(v) for v in value] for value in values]
        return pa.array(lists, pa.list_(pa.float64()))
    return pa.array([as_text(value) for value in values], pa.string())


def as_text(value: Any) -> str | None:
    """A JSON value as text: text as it is, anything else as JSON, null as none."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def united(tables: Iterable[pa.Table]) -> pa.Table:
    """Tables under each other; columns that one lacks are null there, other types give the wider one or JSON text."""
    import pyarrow as pa

    tables = list(tables)
    schema = common_schema([table.schema for table in tables])
    return pa.concat_tables([cast(table, schema) for table in tables]) if tables else schema.empty_table()


def common_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Every column of any of the schemas, in a type that holds all its values."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            types[field.name] = _wider(types[field.name], field.type) if field.name in types else field.type
    return pa.schema(types.items())


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in a schema that `common_schema` made."""
    import pyarrow as pa

    columns: Mapping[str, Any] = {name: table.column(name) for name in table.schema.names}
    return pa.table([_as(columns.get(field.name), field.type, table.num_rows) for field in schema], schema=schema)


def _as(column: pa.ChunkedArray | None, kind: pa.DataType, rows: int) -> Any:
    import pyarrow as pa

    if column is None:
        return pa.nulls(rows, kind)
    if column.type == kind:
        return column
    if kind == pa.float64():
        return column.cast(kind, safe=False)  # whole numbers beyond 2**53 lose digits, as they do in JSON elsewhere
    if kind == pa.string() and not pa.types.is_null(column.type):
        return pa.array([as_text(value) for value in column.to_pylist()], kind)
    return column.cast(kind)
