"""The rows of a request, after they were checked: tuples in the model's order, or one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from nbprod.predictions.packed import head, kind_of, numbers

if TYPE_CHECKING:
    import numpy as np

    from nbprod.serving.signature import Signature


@dataclass(slots=True, kw_only=True)
class Asked:
    """What is to be predicted.

    Attributes:
        rows: tuples in the order of the signature's columns, missing values as None.
        matrix: instead of `rows`, for bodies that are read without making Python objects of their numbers, and for
            tensors.
        proba: whether probabilities are wanted, too.
        raw: the body, where it is ``{"columns": [...], "rows": [...]}`` and nothing else, in the model's order.
    """

    rows: Sequence[tuple[Any, ...]] = ()
    matrix: np.ndarray[Any, Any] | None = None
    proba: bool = False
    raw: bytes = b""

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.rows) if self.matrix is None else len(self.matrix)


class Journalled:
    """Inputs as the prediction log keeps them.

    Args:
        kept: names of the columns that the log's policy keeps.
    """

    def __init__(self, signature: Signature, kept: Sequence[str]) -> None:
        names = signature.names or ((signature.tensor.name or "rows",) if signature.tensor else ())
        self._tensor = signature.tensor is not None
        self._all = len(kept) == len(names)
        self._none = not kept
        self._at = [position for position, name in enumerate(names) if name in kept]
        shown = [name for name in names if name in kept]
        self._heads = {kind: head(shown, kind) for kind in (b"d", b"q")}
        self._start = b'{"columns":' + orjson.dumps(shown) + b',"rows":'

    def inputs(self, asked: Asked) -> tuple[bytes, bytes | memoryview]:
        """The inputs and numbers that are kept, as `nbprod.predictions.journal.Record` has them; empty if none are."""
        if self._none:
            return b"", b""
        if asked.raw and self._all:
            return asked.raw, b""
        if asked.matrix is not None:
            return self._matrix(asked.matrix)
        rows = asked.rows
        if not self._all:
            rows = [tuple(row[at] for at in self._at) for row in rows]
        return self._start + orjson.dumps(rows, default=plain) + b"}", b""

    def _matrix(self, matrix: Any) -> tuple[bytes, bytes | memoryview]:
        if self._tensor:  # one column, whose values are arrays
            return self._start + orjson.dumps([[row.tolist()] for row in matrix]) + b"}", b""
        own = matrix if self._all else matrix[:, self._at]
        if kind := kind_of(own):
            return self._heads[kind], numbers(own)
        return self._start + orjson.dumps(own.copy(), option=orjson.OPT_SERIALIZE_NUMPY) + b"}", b""


def plain(value: Any) -> Any:
    """What JSON has no form for: bytes as base64, numpy's numbers as Python's, anything else as text."""
    import base64

    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return value.tolist() if hasattr(value, "tolist") else str(value)
