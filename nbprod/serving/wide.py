"""Large bodies of numbers, parsed straight into an array: no Python object is made of a number.

Only where it is sure that nothing is let through: every column is required and of one kind of number, and each
bracket of the body was accounted for, since the parser's flat buffer would hide nested lists.
"""

from __future__ import annotations

from typing import Any

from nbprod.serving.signature import Signature

LEAST = 16_384
"""Bytes of a body for which this pays."""

KEPT = 8 << 20
"""Bytes of a body up to which the parser is used again: it keeps memory for the largest that it saw."""

_FLAT = {"double": "d", "float": "d", "integer": "i", "long": "i"}


class Wide:
    """Tries to read a body as one array; what it does not read may still be right, and is left to the typed decoder."""

    def __init__(self, signature: Signature) -> None:
        kinds = {_FLAT.get(kind, "") for kind in signature.types}
        self._kind = kinds.pop() if len(kinds) == 1 and signature.complete else ""
        self._names = list(signature.names)
        self._single = signature.types == {"float"}
        self._narrow = "integer" in signature.types
        self._brackets = 2 + sum(name.count("[") for name in self._names)
        try:
            import simdjson
        except ImportError:
            self._kind = ""
        else:
            self._make, self._parser = simdjson.Parser, simdjson.Parser()

    def table(self, body: bytes) -> Any:
        """The numbers of ``{"columns": [...], "rows": [[...]]}`` with the model's columns in its order; else None."""
        if not self._kind or len(body) < LEAST:
            return None
        try:
            parser = self._parser if len(body) <= KEPT else self._make()
            document: Any = parser.parse(body)
            if sorted(document.keys()) != ["columns", "rows"] or document["columns"].as_list() != self._names:
                return None
            return self._matrix(document["rows"], body)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError):
            return None

    def _matrix(self, rows: Any, body: bytes) -> Any:
        import numpy as np

        width = len(self._names)
        if body.count(b"[") != self._brackets + len(rows) or not len(rows):
            return None
        if set(map(len, rows)) != {width}:
            return None
        flat = np.frombuffer(rows.as_buffer(of_type=self._kind), dtype="float64" if self._kind == "d" else "int64")
        matrix = flat.reshape(len(rows), width)
        if self._narrow and (matrix.min() < -(2**31) or matrix.max() >= 2**31):
            return None
        if self._single and np.abs(matrix).max() > np.finfo("float32").max:
            return None
        return matrix


def numbers(text: bytes, kind: str) -> Any:
    """A long flat JSON list of numbers as an array; None if it is short, or anything else.

    Args:
        kind: numpy's: ``f``, ``i``.
    """
    import numpy as np

    if len(text) < LEAST or kind not in "fi" or text.count(b"[") != 1:
        return None
    try:
        import simdjson

        document: Any = simdjson.Parser().parse(text)
        buffer = document.as_buffer(of_type="d" if kind == "f" else "i")
    except (ImportError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError):
        return None
    return np.frombuffer(buffer, dtype="float64" if kind == "f" else "int64")
