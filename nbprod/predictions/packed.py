"""Inputs that are a table of numbers, as their own bytes: JSON would be three times as many to write and to check."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MARK = b"\x01"
"""The first byte of packed inputs; JSON cannot begin with it."""

_HEAD = struct.Struct("<ccI")
_KINDS = {b"d": "<f8", b"q": "<i8"}


def head(names: list[str], kind: bytes) -> bytes:
    """What stands before the numbers.

    Args:
        kind: ``d`` for doubles, ``q`` for whole numbers of 64 bits.
    """
    text = json.dumps(names).encode()
    return _HEAD.pack(MARK, kind, len(text)) + text


def kind_of(matrix: np.ndarray[Any, Any]) -> bytes:
    """The kind that a matrix is packed as; empty if it is not one that can be."""
    return {"f8": b"d", "i8": b"q"}.get(matrix.dtype.str[1:], b"") if matrix.ndim == 2 else b""


def numbers(matrix: np.ndarray[Any, Any]) -> memoryview:
    """The numbers, row by row, whatever the machine's order of bytes; the matrix's own memory where that has it so."""
    import numpy as np

    own = np.ascontiguousarray(matrix, dtype=matrix.dtype.newbyteorder("<"))
    return own.reshape(-1).view("u1").data


def unpacked(data: bytes) -> tuple[list[str], list[list[Any]]]:
    """Names and rows of packed inputs; NaN is a missing value.

    Raises:
        ValueError: they are none.
    """
    import numpy as np

    try:
        _, kind, size = _HEAD.unpack_from(data)
        names = json.loads(data[_HEAD.size : _HEAD.size + size])
        flat = np.frombuffer(data, _KINDS[kind], offset=_HEAD.size + size)
        matrix = flat.reshape(-1, len(names))
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError("no packed inputs") from error
    rows = matrix.tolist()
    if kind == b"d" and np.isnan(matrix).any():
        rows = [[None if value != value else value for value in row] for row in rows]
    return names, rows
