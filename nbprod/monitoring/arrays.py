"""Arrow's values as NumPy's and back, without pandas: pyarrow imports it for that, which takes as long as counting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""Arrow's names of types that are not NumPy's."""

BATCH = 1 << 17


def parquet(
    path: Path, wanted: Callable[[str], bool], *, texts: Collection[str] = (), groups: range | None = None
) -> Iterator[pa.Table]:
    """A Parquet file bit by bit, each read while the one before it is used: not whole, and not what nobody asks for.

    Args:
        texts: columns of which texts come as the codes that the file has of them, which need not be made again.
        groups: row groups; None for all.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    own = [name for name in schema.names if wanted(name)]
    coded = [name for name in own if name in texts and pa.types.is_string(schema.field(name).type)]
    with pq.ParquetFile(path, pre_buffer=False, read_dictionary=coded) as file, ThreadPoolExecutor(1) as beside:
        batches = file.iter_batches(BATCH, columns=own, row_groups=None if groups is None else list(groups))
        following = beside.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = beside.submit(next, batches, None)
            yield pa.Table.from_batches([batch])


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


def dictionary(values: pa.ChunkedArray | pa.Array) -> pa.DictionaryArray:
    """Values as codes of a dictionary, in which what is missing has a code, too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
        if not any(chunk.dictionary.null_count for chunk in chunks):  # which Arrow cannot unify
            return _coded(pa.chunked_array(chunks, values.type).unify_dictionaries().combine_chunks())
        values = values.cast(values.type.value_type)
    if pa.types.is_null(values.type):  # a CSV with no rows: Arrow cannot join codes of no type
        values = values.cast(pa.string())
    if isinstance(values, pa.ChunkedArray):  # codes of parts cannot always be joined: NaN makes dictionaries differ
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return pc.dictionary_encode(values, null_encoding="encode")


def _coded(values: pa.DictionaryArray) -> pa.DictionaryArray:
    import pyarrow as pa

    if not values.null_count:
        return values
    last = len(values.dictionary)
    names = pa.concat_arrays([values.dictionary, pa.nulls(1, values.dictionary.type)])
    return pa.DictionaryArray.from_arrays(values.indices.cast(pa.int64()).fill_null(last), names)


def only(rows: pa.Table, stay: Array) -> pa.Table:
    """Those of some rows that stay."""
    import numpy as np
    import pyarrow as pa

    places = np.flatnonzero(stay).astype(np.int64)
    return rows.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))
