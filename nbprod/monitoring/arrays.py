"""Arrow's values as NumPy's and back, without pandas: pyarrow imports it for that, which takes as long as counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""Arrow's names of types that are not NumPy's."""


def plain(values: pa.ChunkedArray | pa.Array) -> Array:
    """Values as NumPy's, from the same memory where that can be done."""
    import numpy as np
    import pyarrow as pa

    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    if values.null_count or not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        found: Array = np.asarray(values.to_numpy(zero_copy_only=False) if len(chunks) == 1 else values.to_numpy())
        return found
    kind = np.dtype(FLOATS.get(str(values.type)) or str(values.type))
    parts = [np.frombuffer(c.buffers()[1], kind, len(c), c.offset * kind.itemsize) for c in chunks if len(c)]
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, kind), *parts])


def dictionary(values: pa.ChunkedArray) -> pa.DictionaryArray:
    """Values as codes of a dictionary, in which what is missing has a code, too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):  # a CSV with no rows: Arrow cannot join codes of no type
        values = values.cast(pa.string())
    encoded = pc.dictionary_encode(values, null_encoding="encode")
    return encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded


def only(rows: pa.Table, stay: Array) -> pa.Table:
    """Those of some rows that stay."""
    import numpy as np
    import pyarrow as pa

    places = np.flatnonzero(stay).astype(np.int64)
    return rows.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))
