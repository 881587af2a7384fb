"""Orders to erase rows from segments that are still written: the roller leaves those rows out when it comes to them.

An order holds a salted digest of the value, not the value: it is written where the erased data was.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.entities import Fact
from nbprod.predictions.segments import name_of, segments_in
from nbprod.store import write_text

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "nbprod/erasure/1"
FOLDER = ".erasures"


def normal(value: Any) -> str:
    """A value as text, so that ``7``, ``7.0`` and ``"7"`` are one."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Fact):
    """Which rows are to be left out.

    Attributes:
        name: of its file.
        segments: names of those that it is for.
        column: the column whose value decides; empty if the requests do.
        digest: salted sha256 of the value's text.
        requests: ``request/row``, or ``request/`` for feedback that names no row.
        before: rows of a later time stay, in microseconds since 1970.
    """

    name: str
    segments: tuple[str, ...]
    column: str = ""
    salt: str = ""
    digest: str = ""
    requests: tuple[str, ...] = ()
    before: int = 2**62
    schema: str = SCHEMA

    @classmethod
    def of_value(cls, column: str, value: Any, **options: Any) -> Order:
        """An order for the rows in which a column has a value."""
        salt = secrets.token_hex(16)
        return cls(column=column, salt=salt, digest=_digest(salt, value), **options)

    def mask(self, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Which rows of a table are meant, as booleans."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.column:
            values = table[self.column].to_pylist() if self.column in table.schema.names else [None] * table.num_rows
            known: dict[str, bool] = {}
            found = pa.array([value is not None and self._meant(value, known) for value in values], pa.bool_())
        else:
            found = pc.is_in(keys_of(table), pa.array(self.requests, pa.string()))
        return pc.and_(found, pc.less_equal(table["time"].cast(pa.int64()), self.before))

    def _meant(self, value: Any, known: dict[str, bool]) -> bool:
        text = normal(value)
        if text not in known:
            known[text] = _digest(self.salt, text) == self.digest
        return known[text]

    def without(self, table: pa.Table) -> pa.Table:
        """A table without the rows that are meant."""
        import pyarrow.compute as pc

        return table.filter(pc.invert(self.mask(table)))


def _digest(salt: str, value: Any) -> str:
    return hashlib.sha256(f"{salt}{normal(value)}".encode()).hexdigest()


def keys_of(table: pa.Table) -> pa.ChunkedArray:
    """``request/row`` of every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(table["request"], pc.fill_null(table["row"].cast(pa.string()), ""), "/")


def give(folder: Path, order: Order) -> None:
    """Write an order down beside the segments; one without segments is none."""
    if order.segments:
        write_text(folder / FOLDER / f"{order.name}.json", json.dumps(order.to_dict()))


def orders_in(folder: Path) -> Iterator[Order]:
    """The orders of a folder of segments."""
    for path in sorted((folder / FOLDER).glob("*.json")):
        yield Order.from_dict(json.loads(path.read_text(encoding="utf-8")))


def settle(folder: Path) -> None:
    """Forget what has been done: orders for segments that are not there any more."""
    there = {str(name_of(path.name)) for path in segments_in(folder)}
    for order in orders_in(folder):
        left = tuple(name for name in order.segments if name in there)
        if not left:
            (folder / FOLDER / f"{order.name}.json").unlink(missing_ok=True)
        elif left != order.segments:
            give(folder, replace(order, segments=left))


def pending(folder: Path) -> Collection[str]:
    """Names of the segments that orders are waiting for."""
    return sorted({name for order in orders_in(folder) for name in order.segments})
