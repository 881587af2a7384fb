"""Cells of CSV as values of the signature's types; nothing else is let through than in JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nbprod.serving import types
from nbprod.serving.signature import Column


def cell(column: Column, text: str | None) -> Any:
    """A cell as a value of its column; None where it is missing.

    An empty cell is missing, as pandas writes and reads it, unless the column is text of which none may be missing.

    Raises:
        ValueError: it is none; the message says nothing of the value.
    """
    if text is None or (text == "" and not (column.type == "string" and column.required)):
        if column.required:
            raise ValueError(f"expected {types.word(column)}")
        return None
    read = _CELLS.get(column.type)
    try:
        if read is None:
            raise ValueError
        found = read(text)
        # The range is checked by the type that JSON is read with.
        if column.type in ("integer", "long", "float", "double"):
            msgspec.convert(found, types.SCALARS[column.type])
            if found in (float("inf"), float("-inf")) or found != found:
                raise ValueError
    except (ValueError, OverflowError, msgspec.ValidationError, binascii.Error):
        raise ValueError(f"expected {types.word(column)}") from None
    return found


def _whole(text: str) -> int:
    if not text.strip("+-").isdecimal() or len(text) > 20:
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if "_" in text:
        raise ValueError
    return float(text)


def _truth(text: str) -> bool:
    if text not in _TRUTHS:
        raise ValueError
    return _TRUTHS[text]


_TRUTHS = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}

_CELLS: Mapping[str, Callable[[str], Any]] = {
    "integer": _whole, "long": _whole, "double": _number, "float": _number, "string": str, "boolean": _truth,
    "datetime": types.moment, "binary": lambda text: base64.b64decode(text, validate=True),
}  # fmt: skip
