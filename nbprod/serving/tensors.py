"""Nested lists as an array of the signature's shape."""

from __future__ import annotations

import math
from typing import Any

from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Tensor


def array_of(values: Any, tensor: Tensor, where: str) -> Any:
    """An array of the tensor's type, its first dimension the rows.

    Raises:
        Refused: the lists are of different lengths, or not of the signature's.
    """
    import numpy as np

    try:
        found = np.array(values, dtype=np.dtype(tensor.dtype))
    except (ValueError, OverflowError):
        raise Refused("the lists at one level differ in length.", path=where, status=422) from None
    return shaped(found, tensor, where)


def shaped(found: Any, tensor: Tensor, where: str) -> Any:
    """The array, if it has the signature's shape; flat values are laid out where that is possible in one way."""
    if found.ndim == 1 and tensor.shape and -1 not in tensor.shape:
        size = math.prod(tensor.shape)
        if size and found.size and not found.size % size:
            found = found.reshape(-1, *tensor.shape)
    fits = found.ndim == len(tensor.shape) + 1 and all(
        want in (-1, have) for want, have in zip(tensor.shape, found.shape[1:], strict=True)
    )
    if not fits or not len(found):
        wanted = " x ".join(["rows", *("any" if size == -1 else str(size) for size in tensor.shape)])
        raise Refused(f"expected an array of {wanted} at {where}.", path=where, expected=wanted, status=422)
    return found
