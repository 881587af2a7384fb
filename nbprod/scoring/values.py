"""Columns as they come from a file, held against the signature: the same rules as for a request, for whole columns.

Nothing is converted that a request would not have converted: a text is no number, nor is ``true``, and a number with a
fraction is no whole one. Only CSV, in which everything is text, is read as the service reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbprod.serving import types
from nbprod.serving.cells import cell
from nbprod.serving.signature import Column

if TYPE_CHECKING:
    import pyarrow as pa

BITS = {"integer": 31, "long": 63}
SINGLE = 3.4028234663852886e38

_WHOLE = r"^[+-]?[0-9]{1,18}$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """A column that was checked.

    Attributes:
        values: an array in the type of `arrow_type`, or a list of nested values; null where a value is missing or bad.
        bad: which values do not fit, as booleans; None for none.
        missing: which values must not be missing, and are.
    """

    values: Any
    bad: np.ndarray[Any, Any] | None = None
    missing: np.ndarray[Any, Any] | None = None


def arrow_type(kind: str) -> Any:
    """The type in which a column's checked values are; None for nested ones."""
    import pyarrow as pa

    own = {
        "boolean": pa.bool_(), "integer": pa.int32(), "long": pa.int64(), "float": pa.float32(),
        "double": pa.float64(), "string": pa.string(), "binary": pa.binary(), "datetime": pa.timestamp("us"),
    }  # fmt: skip
    return own.get(kind)


def may_hold(kind: str, found: pa.DataType) -> bool:
    """Whether a file's column of a type can hold values of a column of the signature at all."""
    from pyarrow import types as is_

    if is_.is_dictionary(found):
        return may_hold(kind, found.value_type)
    if is_.is_null(found):
        return True
    text = is_.is_string(found) or is_.is_large_string(found) or _is_view(found)
    if kind in BITS:
        return bool(is_.is_integer(found) or (is_.is_decimal(found) and not found.scale))
    if kind in ("double", "float"):
        return bool(is_.is_integer(found) or is_.is_floating(found) or is_.is_decimal(found))
    if kind == "datetime":
        return bool(text or is_.is_timestamp(found) or is_.is_date(found))
    if kind == "binary":
        return bool(text or is_.is_binary(found) or is_.is_large_binary(found) or is_.is_fixed_size_binary(found))
    return {"boolean": bool(is_.is_boolean(found)), "string": bool(text)}.get(kind, True)


def _is_view(found: pa.DataType) -> bool:
    return str(found) == "string_view"


def checked(column: Column, values: pa.ChunkedArray, *, csv: bool) -> Values:
    """Hold a column of a file against the signature.

    Args:
        values: of a type that it may have; see `may_hold`.
        csv: whether it is text, in which an empty cell is what `nbprod.serving.cells.cell` says.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    own = arrow_type(column.type)
    if own is None:
        return _nested(column, found)
    if pa.types.is_null(found.type):
        array, wrong = found.cast(own), None
    elif csv:
        must = column.type == "string" and column.required
        text = found if must else pc.if_else(pc.equal(found, ""), None, found)
        array, wrong = _of_text(column, text)
    else:
        if _is_view(found.type) or pa.types.is_large_string(found.type):
            found = found.cast(pa.string())
        array, wrong = _TYPED[column.type](column, found)
    bad = wrong if wrong is not None and wrong.any() else None
    if not column.required or not array.null_count:
        return Values(values=array, bad=bad)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    return Values(values=array, bad=bad, missing=missing if bad is None else missing & ~bad)


Found = tuple[Any, "np.ndarray[Any, Any] | None"]


def _numbers(column: Column, found: pa.Array) -> Found:
    """NaN is a missing value, as pandas writes it; infinity is no number, as in JSON."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(found.type) and column.type == "double":
        return found.cast(pa.float64(), safe=False), None
    found = found.cast(pa.float64(), safe=False)
    limit = SINGLE if column.type == "float" else np.finfo("float64").max
    plain = found.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        fits = np.abs(plain) <= limit
    if found.null_count == 0 and fits.all():
        return found.cast(arrow_type(column.type), safe=False), None
    missing = np.isnan(plain)
    array = pa.array(plain, pa.float64(), mask=~fits)
    return pc.cast(array, arrow_type(column.type), safe=False), ~fits & ~missing


def _whole(column: Column, found: pa.Array) -> Found:
    import pyarrow as pa

    own = arrow_type(column.type)
    if pa.types.is_integer(found.type) and found.type.bit_width < own.bit_width:
        return found.cast(own), None
    if found.type == own:
        return found, None
    return _limited(found, column)


def _limited(found: pa.Array, column: Column) -> Found:
    """Whole numbers of a wider type, those that do not fit being bad."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own, high = arrow_type(column.type), 2 ** BITS[column.type] - 1
    if pa.types.is_decimal(found.type):
        wide = found.cast(pa.decimal256(76, 0))
        fits = pc.and_(
            pc.less_equal(wide, pa.scalar(high, wide.type)), pc.greater_equal(wide, pa.scalar(-high - 1, wide.type))
        )
        found = wide
    else:
        fits = pc.less_equal(found, pa.scalar(high, found.type))
        if not pa.types.is_unsigned_integer(found.type):
            fits = pc.and_(fits, pc.greater_equal(found, pa.scalar(-high - 1, found.type)))
    wrong = pc.fill_null(pc.invert(fits), False)
    return pc.if_else(wrong, None, found).cast(own), wrong.to_numpy(zero_copy_only=False)


def _moments(column: Column, found: pa.Array) -> Found:
    """Without a zone, which is UTC where one is given; those that a table cannot hold are bad."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(found.type):
        return _of_text(column, found)
    own = pa.timestamp("us")
    found = found.cast(
        pa.timestamp("us", found.type.tz if pa.types.is_timestamp(found.type) else None), safe=False
    ).cast(own)
    outside = pc.or_(
        pc.less(found, pa.scalar(types.EARLIEST, own)), pc.greater_equal(found, pa.scalar(types.LATEST, own))
    )
    wrong = pc.fill_null(outside, False)
    if not pc.any(wrong).as_py():
        return found, None
    return pc.if_else(wrong, None, found), wrong.to_numpy(zero_copy_only=False)


def _bytes(column: Column, found: pa.Array) -> Found:
    import pyarrow as pa

    return _of_text(column, found) if pa.types.is_string(found.type) else (found.cast(pa.binary()), None)


def _as_is(column: Column, found: pa.Array) -> Found:
    return found.cast(arrow_type(column.type)), None


_TYPED: dict[str, Callable[[Column, Any], Found]] = {
    "double": _numbers, "float": _numbers, "integer": _whole, "long": _whole, "datetime": _moments, "binary": _bytes,
    "boolean": _as_is, "string": _as_is,
}  # fmt: skip


def _of_text(column: Column, found: pa.Array) -> Found:
    """Text as the service reads a cell of CSV; null stays null."""
    if column.type == "string":
        return found, None
    if column.type in BITS or column.type in ("double", "float"):
        return _numbers_of_text(column, found)
    return _one_by_one(column, found)


def _numbers_of_text(column: Column, found: pa.Array) -> Found:
    """What looks like a number is read by pyarrow, the rest by the service's own reader."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = column.type in BITS
    plain = pc.match_substring_regex(found, _WHOLE if whole else _NUMBER)
    text = pc.if_else(plain, found, None)
    if whole:
        text = pc.utf8_ltrim(text, "+")
    numbers = pc.cast(text, pa.int64() if whole else pa.float64())
    array, wrong = (_limited if whole else _numbers)(column=column, found=numbers)
    odd = pc.fill_null(pc.invert(plain), False)
    if not pc.any(odd).as_py():
        return array, wrong
    others, refused = _one_by_one(column, pc.if_else(odd, found, None))
    wrong = refused if wrong is None else wrong if refused is None else wrong | refused
    return pc.coalesce(array, others), wrong


def _one_by_one(column: Column, found: pa.Array) -> Found:
    """Every different text is read once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(found)
    known, wrong = [], []
    for text in coded.dictionary.to_pylist():
        try:
            if not text:  # an empty cell of CSV is null by now
                raise ValueError
            known.append(cell(column, text))
            wrong.append(False)
        except ValueError:
            known.append(None)
            wrong.append(True)
    array = pa.array(known, arrow_type(column.type)).take(coded.indices)
    if not any(wrong):
        return array, None
    bad = pc.fill_null(pa.array(wrong).take(coded.indices), False)
    return array, bad.to_numpy(zero_copy_only=False)


def _nested(column: Column, found: pa.Array) -> Values:
    """Lists and objects, one by one, as a request's are."""
    import msgspec

    own = types.column_type(column)
    values: list[Any] = []
    bad = np.zeros(len(found), bool)
    for number, value in enumerate(found.to_pylist(maps_as_pydicts="lossy")):
        try:
            values.append(msgspec.to_builtins(msgspec.convert(value, own)))
        except (msgspec.ValidationError, TypeError, RecursionError):
            values.append(None)
            bad[number] = True
    return Values(values=values, bad=bad if bad.any() else None)
