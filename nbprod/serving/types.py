"""Types for msgspec from the types of MLflow's signatures, and what a person calls them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from nbprod.serving.signature import Column, Tensor

_INT32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_FLOAT32 = Annotated[float, msgspec.Meta(ge=-3.4028234663852886e38, le=3.4028234663852886e38)]

SCALARS: dict[str, Any] = {
    "boolean": bool, "integer": _INT32, "long": _INT64, "float": _FLOAT32, "double": float, "string": str,
    "binary": bytes, "datetime": str,
}  # fmt: skip

WORDS = {
    "boolean": "true or false", "integer": "whole number of 32 bits", "long": "whole number of 64 bits",
    "float": "number of 32 bits", "double": "number", "string": "text", "binary": "bytes as base64 text",
    "datetime": "date and time as ISO 8601 text from 1677-09-22 to 2262-04-10",
    "array": "list", "object": "object", "map": "object", "any": "any value",
}  # fmt: skip


EARLIEST, LATEST = datetime(1677, 9, 22), datetime(2262, 4, 11)
"""Dates of tables are in nanoseconds, which 64 bits can count from the first of these to before the second one; NumPy
turns others, such as 9999-12-31, silently into some date between them."""


def list_of(own: Any) -> Any:
    """The type of lists of a type."""
    return list[own]


def value_type(kind: str, detail: Any) -> Any:
    """The type of a value that is not null."""
    if kind in SCALARS:
        return SCALARS[kind]
    if kind == "array":
        inner = detail["items"]
        return list_of(value_type(inner["type"], inner))
    if kind == "map":
        inner = detail["values"]
        return dict[str, value_type(inner["type"], inner)]  # type: ignore[misc]
    if kind == "object":
        return _record(detail["properties"])
    return Any


def _record(properties: dict[str, Any]) -> Any:
    fields: list[Any] = []
    for number, (name, item) in enumerate(properties.items()):
        own = value_type(item["type"], item)
        key = f"f{number}"
        if item.get("required", True):
            fields.append((key, own, msgspec.field(name=name)))
        else:
            fields.append((key, own | None, msgspec.field(name=name, default=None)))
    return msgspec.defstruct("Record", fields, kw_only=True, forbid_unknown_fields=True)


def column_type(column: Column) -> Any:
    """The type of a column's values, null among them where they may be missing."""
    own = value_type(column.type, column.detail)
    return own if column.required or own is Any else own | None


def word(column: Column) -> str:
    """What is expected of a column."""
    return WORDS[column.type] + ("" if column.required else ", or null")


def tensor_type(tensor: Tensor) -> Any:
    """Nested lists of the tensor's numbers or texts; lengths are checked when the array is made."""
    found: Any = _element(tensor.dtype)
    for _ in range(len(tensor.shape) + 1):
        found = list_of(found)
    return found


def _element(dtype: str) -> Any:
    import numpy as np

    own = np.dtype(dtype)
    if own.kind == "b":
        return bool
    if own.kind in "iu":
        info = np.iinfo(own)
        return Annotated[int, msgspec.Meta(ge=int(info.min), le=min(int(info.max), 2**63 - 1))]
    if own.kind == "f":
        return _FLOAT32 if own.itemsize == 4 else float
    return str


def moment(text: str) -> datetime:
    """A date and time, without its zone, which is UTC where one is given; ValueError if it is none or out of range."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        found = found.astimezone(UTC).replace(tzinfo=None)
    if not EARLIEST <= found < LATEST:
        raise ValueError("out of range")
    return found
