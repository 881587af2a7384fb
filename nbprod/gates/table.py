"""What a table must look like, in pandera's words, and where it does not; values are never repeated, only counted.

Rows are numbered from 1, a header not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbprod.errors import UsageError, nearest
from nbprod.gates.fitting import DTYPES, bound_broken, misfits
from nbprod.gates.reading import Table, table_of

if TYPE_CHECKING:
    import pandas as pd

BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
"""A bound's name -> how it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRules:
    """What a column must look like; the names and what they mean are pandera's.

    Attributes:
        dtype: a kind (``int``, ``float``, ``bool``, ``str``, ``datetime``, ``category``), or an exact width such as
            ``int16``. ``float`` takes whole numbers; where a format has no types, what the text says counts.
        nullable: whether values may be missing; not, unless the YAML says so here or with `max_missing`.
        unique: whether no value stands twice; missing ones do not count.
        in_range: lowest and highest value, both allowed.
        isin: the values that there may be.
        str_matches: a regular expression that values must begin with, as with `re.match`; end it with ``$`` for all.
        required: whether the column must be there.
        max_missing: the share of rows, 0 to 1, in which it may be missing.
    """

    dtype: str = ""
    nullable: bool = False
    unique: bool = False
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    in_range: tuple[Any, Any] | None = None
    isin: tuple[Any, ...] | None = None
    str_matches: str = ""
    required: bool = True
    max_missing: float | None = None

    @classmethod
    def read(cls, name: str, rules: Any) -> ColumnRules:
        """The rules of one column, from YAML.

        Raises:
            UsageError: a rule is unknown or holds what it cannot hold.
        """
        rules = {} if rules is None else rules
        if not isinstance(rules, Mapping):
            raise UsageError(f"the rules of the column '{name}' must be a mapping, such as `{{dtype: int, ge: 0}}`.")
        known = [each.name for each in fields(cls)]
        values: dict[str, Any] = {}
        for key, value in rules.items():
            if key not in known:
                raise UsageError(f"the column '{name}' has no rule '{key}'.{nearest(str(key), known)}")
            if wrong := _wrong(str(key), value):
                raise UsageError(f"{key} of the column '{name}' must be {wrong}.")
            values[key] = tuple(value) if isinstance(value, list) else value
        if values.get("max_missing") and values.get("nullable") is False:
            raise UsageError(f"the column '{name}' may not be missing, and has a max_missing: take one of them away.")
        return cls(**values)

    @property
    def bounds(self) -> Iterator[tuple[str, Any]]:
        """Its bounds, as ``(ge, value)``."""
        for name in BOUNDS:
            if getattr(self, name) is not None:
                yield name, getattr(self, name)
        if self.in_range is not None:
            yield "ge", self.in_range[0]
            yield "le", self.in_range[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """What a table must look like.

    Attributes:
        unique: sets of columns that are unique together.
        extra: whether columns that are not named may be there.
    """

    columns: Mapping[str, ColumnRules] = field(default_factory=dict)
    min_rows: int = 0
    max_rows: int | None = None
    unique: tuple[tuple[str, ...], ...] = ()
    extra: Literal["allow", "refuse"] = "allow"

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> TableSchema:
        """A schema from YAML: ``columns``, ``rows: {min, max}``, ``unique`` and ``extra``.

        ``unique`` is a list of columns that are unique together, or a list of such lists, as in pandera.

        Raises:
            UsageError: a key is unknown or holds what it cannot hold; with the nearest that is known.
        """
        known = ("columns", "rows", "unique", "extra")
        for key in content:
            if key not in known:
                raise UsageError(f"a table's schema has no '{key}'.{nearest(str(key), known)}")
        columns = content.get("columns") or {}
        if not isinstance(columns, Mapping):
            raise UsageError("columns must be a mapping of a column's name to its rules.")
        extra = content.get("extra", "allow")
        if extra not in ("allow", "refuse"):
            raise UsageError("extra must be allow or refuse: whether columns that are not named may be there.")
        least, most = _rows(content.get("rows") or {})
        return cls(
            columns={str(name): ColumnRules.read(str(name), rules) for name, rules in columns.items()},
            min_rows=least,
            max_rows=most,
            unique=_unique(content.get("unique") or []),
            extra=extra,
        )


def check_table(source: Path | pd.DataFrame, schema: TableSchema, *, label: str) -> tuple[str, ...]:
    """What is wrong with a table: a sentence for each rule that is broken, with how many rows break it and the first.

    Args:
        label: what the user calls the table.

    Raises:
        ArtifactError: it cannot be read as a table.
    """
    as_text = [name for name, rules in schema.columns.items() if rules.dtype == "str" or rules.str_matches]
    table = table_of(source, text=as_text)
    return tuple(_problems(table, schema, label))


def _problems(table: Table, schema: TableSchema, label: str) -> Iterator[str]:
    if table.rows < schema.min_rows:
        yield f"{label} has {table.rows} rows, and must have at least {schema.min_rows}."
    if schema.max_rows is not None and table.rows > schema.max_rows:
        yield f"{label} has {table.rows} rows, and must have at most {schema.max_rows}."
    if schema.extra == "refuse" and (more := [name for name in table.names if name not in schema.columns]):
        yield f"{label} has columns that its schema does not name: {', '.join(more)}."
    for name, rules in schema.columns.items():
        if name in table.names:
            values = table.column(table.names.index(name))
            for must, bad in _broken(values, rules, table.texts):
                yield _sentence(f"the column '{name}' of {label}", must, bad, table.rows)
        elif rules.required:
            yield f"{label} has no column '{name}'.{nearest(name, table.names)}"
    for together in schema.unique:
        if missing := [name for name in together if name not in table.names]:
            yield f"{label} has no column '{missing[0]}', which must be unique.{nearest(missing[0], table.names)}"
        elif len(bad := _repeated(table, together)):
            named = ", ".join(f"'{name}'" for name in together)
            must = "be unique" if len(together) == 1 else "be unique together"
            yield _sentence(f"the column{'s' * (len(together) > 1)} {named} of {label}", must, bad, table.rows)


def _sentence(what: str, must: str, bad: Sequence[int], rows: int) -> str:
    return f"{what} must {must}: {len(bad)} of {rows} rows are not so, the first is row {min(bad)}."


def _broken(values: pd.Series[Any], rules: ColumnRules, texts: frozenset[str]) -> Iterator[tuple[str, Sequence[int]]]:
    """What a column must be -> the numbers of the rows in which it is not; a value of the wrong type only once."""
    gaps = values.isna()
    allowed = (1.0 if rules.nullable else 0.0) if rules.max_missing is None else rules.max_missing
    if gaps.sum() > allowed * len(values):
        yield ("not be missing" if allowed == 0 else f"be missing in {allowed:.3g} of the rows at most"), _at(gaps)
    present = values[~gaps]
    if rules.dtype:
        wrong = misfits(present, rules.dtype, gaps=bool(gaps.any()), texts=texts)
        if wrong.any():
            # In a column of one type that is not this one, the type says more than the rows do.
            held = "" if present.dtype == object or texts else f" and not {str(present.dtype).lower()}"
            yield f"be {rules.dtype}{held}", _at(wrong)
        present = present[~wrong]
    for name, bound in rules.bounds:
        if (beyond := bound_broken(present, name, bound)).any():
            yield f"be {BOUNDS[name]} {bound}", _at(beyond)
    if rules.isin is not None and (other := ~_among(present, rules.isin)).any():
        yield f"be one of {', '.join(map(str, rules.isin))}", _at(other)
    if rules.str_matches:
        pattern = re.compile(rules.str_matches)
        fitting = [value for value in present.unique() if isinstance(value, str) and pattern.match(value)]
        if (other := ~present.isin(fitting)).any():
            yield f"match {rules.str_matches}", _at(other)
    if rules.unique and (again := present.duplicated()).any():
        yield "be unique", _at(again)


def _among(values: pd.Series[Any], allowed: Sequence[Any]) -> pd.Series[bool]:
    """Which values are allowed; text says when a time is."""
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_datetime64_any_dtype(values):
        times = pd.to_datetime(pd.Series([str(item) for item in allowed]), errors="coerce", utc=True, format="ISO8601")
        return pd.to_datetime(values, utc=True).isin(times)
    return values.astype(object).isin(list(allowed))


def _repeated(table: Table, together: Sequence[str]) -> Sequence[int]:
    """The rows that repeat an earlier one in some columns; those with a missing value do not count."""
    import pandas as pd

    parts = [table.column(table.names.index(name)) for name in together]
    rows = pd.concat(parts, axis=1, keys=range(len(parts))).dropna()
    return _at(rows.duplicated())


def _at(mask: pd.Series[bool]) -> Sequence[int]:
    return [int(row) for row in mask.index[mask]]


def _rows(content: Any) -> tuple[int, int | None]:
    if not isinstance(content, Mapping):
        raise UsageError("rows must be a mapping, such as `{min: 1000}`.")
    for key, value in content.items():
        if key not in ("min", "max"):
            raise UsageError(f"rows has no '{key}'.{nearest(str(key), ('min', 'max'))}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"{key} of rows must be a whole number from 0 on.")
    least, most = content.get("min", 0), content.get("max")
    if most is not None and most < least:
        raise UsageError("rows has a max that is less than its min.")
    return least, most


def _unique(content: Any) -> tuple[tuple[str, ...], ...]:
    if isinstance(content, list) and all(isinstance(item, str) for item in content):
        return (tuple(content),) if content else ()
    if isinstance(content, list) and all(isinstance(item, list) and item for item in content):
        return tuple(tuple(map(str, item)) for item in content)
    raise UsageError("unique must be a list of columns that are unique together, or a list of such lists.")


def _wrong(rule: str, value: Any) -> str:
    """What a rule of a column must hold, if this is something else; empty if it fits."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match rule:
        case "dtype":
            return "" if value in DTYPES else f"one of {', '.join(DTYPES)}"
        case "nullable" | "unique" | "required":
            return "" if isinstance(value, bool) else "true or false"
        case "max_missing":
            return "" if number and 0 <= value <= 1 else "a share from 0 to 1"
        case "isin":
            plain = isinstance(value, list) and value and not any(isinstance(item, (list, Mapping)) for item in value)
            return "" if plain else "a list of values"
        case "in_range":
            return "" if isinstance(value, list) and len(value) == 2 and _ordered(*value) else "the lowest and highest"
        case "str_matches":
            return "" if isinstance(value, str) and value and _compiles(value) else "a regular expression"
    return "" if number or isinstance(value, str) else "a number or the text of a time"


def _ordered(low: Any, high: Any) -> bool:
    try:
        return bool(low <= high)
    except TypeError:
        return False


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
