"""The rows that a phrase such as ``age >= 65 and sex == 'f'`` names; it is read, never run.

A phrase is comparisons joined by ``and``. A comparison is a column, one of ``==``, ``!=``, ``<``, ``<=``, ``>`` and
``>=``, and a value; or a column, ``in``, and values in brackets. Values are numbers, true, false, or text in quotes. A
column whose name is no plain word stands in backticks. In quoted text and names the quote itself is written twice.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbprod.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Scalar = str | int | float | bool

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<operator>==|!=|<=|>=|<|>)
    |(?P<mark>[\[\],])
    |(?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![\w.]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<name>`(?:[^`]|``)+`)
    |(?P<word>[^\W\d]\w*)
    )""",
    re.VERBOSE,
)

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "in": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORDS = {"and", "in", "true", "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One column held against a value.

    Attributes:
        operator: as it is written, or ``in``.
        value: a tuple for ``in``.
    """

    column: str
    operator: str
    value: Scalar | tuple[Scalar, ...]

    def __str__(self) -> str:
        plain = re.fullmatch(r"[^\W\d]\w*", self.column) and self.column not in _WORDS
        column = self.column if plain else "`" + self.column.replace("`", "``") + "`"
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        shown = ", ".join(map(_written, values))
        return f"{column} {self.operator} {f'[{shown}]' if self.operator == 'in' else shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Comparisons that all hold; written with ``str`` as `read` reads it."""

    comparisons: tuple[Comparison, ...]

    @classmethod
    def read(cls, text: str) -> Where:
        """Read a phrase.

        Raises:
            UsageError: it is none; with what was expected, and where.
        """
        return _Reader(text).phrase()

    def __str__(self) -> str:
        return " and ".join(map(str, self.comparisons))

    def rows(self, table: pd.DataFrame) -> np.ndarray[Any, Any]:
        """Whether each row of a table is one of them, shape (rows,); a missing value is never.

        Raises:
            UsageError: the table has no such column, or its values cannot be compared so.
        """
        import numpy as np

        found = np.ones(len(table), dtype=bool)
        for comparison in self.comparisons:
            if comparison.column not in table.columns:
                hint = nearest(comparison.column, map(str, table.columns))
                raise UsageError(f"there is no column '{comparison.column}', which `{self}` names.{hint}")
            found &= _holds(table[comparison.column], comparison, phrase=str(self))
        return found


def _written(value: Scalar) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _holds(values: pd.Series[Any], comparison: Comparison, *, phrase: str) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    wanted: tuple[Any, ...] = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    present = values.notna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(values):
        values = pd.to_datetime(values, utc=True)
        times = pd.to_datetime(pd.Series([str(item) for item in wanted]), errors="coerce", utc=True, format="ISO8601")
        if times.isna().any():
            raise UsageError(f"`{phrase}` compares the times of '{comparison.column}' with what is no time.")
        wanted = tuple(times.tolist())
    known: list[Any] = values[present].astype(object).tolist()
    compare = _COMPARE[comparison.operator]
    try:
        held = [any(bool(compare(value, item)) for item in wanted) for value in known]
    except TypeError as error:
        raise UsageError(
            f"`{phrase}` compares '{comparison.column}' with a value of another kind: quote text, and only text."
        ) from error
    found = np.zeros(len(values), dtype=bool)
    found[present] = held
    return found


class _Reader:
    """Reads a phrase from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind, self.token = "", ""
        self.start = self.end = 0
        self._next()

    def _next(self) -> None:
        self.start = self.end
        if not self.text[self.end :].strip():
            self.kind, self.token = "end", ""
            return
        match = _TOKEN.match(self.text, self.end)
        if match is None:
            self.kind, self.token = "unknown", self.text[self.end :].strip()[:1]
            return
        self.kind = str(match.lastgroup)
        self.token, self.end = match[self.kind], match.end()

    def _wrong(self, wanted: str) -> UsageError:
        found = f"'{self.token}'" if self.token else "its end"
        return UsageError(f"`{self.text}` names no rows: at {found} there must be {wanted}.")

    def phrase(self) -> Where:
        found = [self._comparison()]
        while self.token == "and" and self.kind == "word":
            self._next()
            found.append(self._comparison())
        if self.kind != "end":
            raise self._wrong("`and`, or nothing more")
        return Where(comparisons=tuple(found))

    def _comparison(self) -> Comparison:
        if self.kind not in ("word", "name") or (self.kind == "word" and self.token in _WORDS):
            raise self._wrong("the name of a column, in backticks if it is no plain word")
        column = self.token if self.kind == "word" else self.token[1:-1].replace("``", "`")
        self._next()
        if self.kind == "operator":
            sign = self.token
            self._next()
            return Comparison(column=column, operator=sign, value=self._value())
        if (self.kind, self.token) == ("word", "in"):
            self._next()
            return Comparison(column=column, operator="in", value=self._values())
        raise self._wrong("one of ==, !=, <, <=, >, >=, in")

    def _values(self) -> tuple[Scalar, ...]:
        if self.token != "[" or self.kind != "mark":
            raise self._wrong("values in brackets, such as [1, 2]")
        found: list[Scalar] = []
        while not found or self.token == ",":
            self._next()
            found.append(self._value())
        if self.token != "]" or self.kind != "mark":
            raise self._wrong("a comma or the closing bracket")
        self._next()
        return tuple(found)

    def _value(self) -> Scalar:
        kind, token = self.kind, self.token
        value: Scalar
        if kind == "text":
            value = token[1:-1].replace(token[0] * 2, token[0])
        elif kind == "number":
            value = int(token) if re.fullmatch(r"[-+]?[0-9]+", token) else float(token)
        elif kind == "word" and token in ("true", "false"):
            value = token == "true"
        else:
            raise self._wrong("a number, true, false, or text in quotes")
        self._next()
        return value
