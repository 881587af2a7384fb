"""The Open Inference Protocol, version 2, on REST: a tensor for each column or one for all, as JSON or as bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from nbprod.serving import types
from nbprod.serving.asked import Asked
from nbprod.serving.batching import Answer
from nbprod.serving.decode import Decoder
from nbprod.serving.faults import malformed
from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Signature
from nbprod.serving.tensors import shaped
from nbprod.serving.wide import numbers

DATATYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
    "BYTES": "object",
}  # fmt: skip

_OF_COLUMN = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "string": "BYTES",
    "binary": "BYTES", "datetime": "BYTES",
}  # fmt: skip
_OF_DTYPE = {np.dtype(dtype): name for name, dtype in DATATYPES.items() if dtype != "object"}


class Input(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A tensor as it is sent."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw()


class _Output(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    inputs: list[Input]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Output] = []


_BODY = msgspec.json.Decoder(_Body)


class Inference:
    """Reads ``/v2/models/NAME/infer`` for one version."""

    def __init__(self, decoder: Decoder) -> None:
        self._own = decoder
        self._signature = decoder.signature

    def read(self, body: bytes, json_length: bytes | None) -> tuple[Asked, dict[str, Any]]:
        """The rows of a body, and what is to be said in the answer: the caller's ``id``, whether as bytes.

        Raises:
            Refused: it is no such body, or does not fit the signature.
        """
        head, tail = _split(body, json_length)
        found = self._own.typed(_BODY, head)
        skeleton = head
        for item in found.inputs:  # without the numbers, so that looking for keys that stand twice is quick
            skeleton = skeleton.replace(bytes(item.data) or b"0", b"0", 1)
        self._own.single_keys(skeleton, -1)
        if not found.inputs:
            raise Refused("there are no inputs.", path="$.inputs")
        if len({item.name for item in found.inputs}) < len(found.inputs):
            raise Refused("two inputs have the same name.", path="$.inputs", status=422)
        arrays, at = {}, 0
        for number, item in enumerate(found.inputs):
            arrays[item.name], at = _tensor(item, f"$.inputs[{number}]", tail, at)
        if at != len(tail):
            raise Refused("there are more bytes than the inputs say.", path="$.inputs")
        asked = self._asked(arrays, found.inputs)
        names = {item.name for item in found.outputs}
        if strange := names - {"predict", "predict_proba"}:
            raise Refused(f"there is no output {sorted(strange)[0][:60]!r}.", path="$.outputs", status=422)
        asked.proba = "predict_proba" in names or found.parameters.get("proba") is True
        binary = found.parameters.get("binary_data_output") is True or any(
            item.parameters.get("binary_data") is True for item in found.outputs
        )
        return asked, {"id": found.id, "binary": binary}

    def _asked(self, arrays: dict[str, Any], inputs: Sequence[Input]) -> Asked:
        tensor = self._signature.tensor
        if tensor is not None:
            if len(arrays) != 1 or (tensor.name and tensor.name not in arrays):
                raise Refused("the model takes one tensor.", path="$.inputs", status=422)
            (array,) = arrays.values()
            if not np.can_cast(array.dtype, tensor.dtype, "same_kind") or array.dtype == object:
                raise _wrong(_OF_DTYPE.get(np.dtype(tensor.dtype), tensor.dtype), "$.inputs[0]")
            found = shaped(array.astype(tensor.dtype), tensor, "$.inputs[0].data")
            self._own.check_count(len(found))
            return Asked(matrix=found)
        if len(arrays) == 1 and inputs[0].name not in self._own.names:
            return self._matrix(arrays[inputs[0].name])
        return self._columns(arrays)

    def _matrix(self, array: Any) -> Asked:
        """One tensor of two dimensions holds all columns, in the model's order."""
        width = len(self._own.names)
        if array.ndim != 2 or array.shape[1] != width:
            path = "$.inputs[0].shape"
            raise Refused(f"expected [rows, {width}] at {path}.", path=path, expected=f"[rows, {width}]", status=422)
        self._own.check_count(len(array))
        kinds = self._signature.types
        floating = kinds <= {"double", "float"} and array.dtype.kind in "fiu"
        whole = kinds <= {"long"} and array.dtype.kind == "i"
        if self._signature.complete and (floating or whole):
            found = array.astype("float64" if floating else "int64")
            limit = np.finfo("float32" if "float" in kinds else "float64").max
            if floating and not (np.abs(found) <= limit).all():
                raise Refused("the input holds numbers that are not finite.", path="$.inputs[0].data", status=422)
            return Asked(matrix=found)
        columns = {name: array[:, n] for n, name in enumerate(self._own.names)}
        return self._columns(columns)

    def _columns(self, arrays: dict[str, Any]) -> Asked:
        """A tensor for each column."""
        own = self._own
        own.check_columns(list(arrays), "$.inputs")
        counts = {array.size for array in arrays.values()}
        if len(counts) > 1:
            raise Refused("the inputs differ in length.", path="$.inputs", status=422)
        (count,) = counts
        own.check_count(count)
        columns: list[list[Any]] = []
        for number, column in enumerate(self._signature.columns):
            if column.name not in arrays:
                columns.append([None] * count)
                continue
            values = arrays[column.name].reshape(-1).tolist()
            path = f"$.inputs[{list(arrays).index(column.name)}].data"
            if column.type == "binary":
                values = [v.encode() if isinstance(v, str) else v for v in values]
            if not column.required:
                values = [None if isinstance(v, float) and math.isnan(v) else v for v in values]
            try:
                columns.append(msgspec.convert(values, types.list_of(own.shapes.cells[number])))
            except msgspec.ValidationError:
                raise _wrong(types.word(column), path) from None
            if any(isinstance(v, float) and not math.isfinite(v) for v in columns[-1]):
                raise Refused("the input holds numbers that are not finite.", path=path, status=422)
        return Asked(rows=own.finished(list(zip(*columns, strict=True)), "inputs"))


def _wrong(expected: str, path: str) -> Refused:
    return Refused(f"expected {expected} at {path}.", path=path, expected=expected, status=422)


def _split(body: bytes, json_length: bytes | None) -> tuple[bytes, memoryview]:
    """The JSON and the bytes behind it."""
    if json_length is None:
        return body, memoryview(b"")
    size = int(json_length) if json_length.isdigit() and len(json_length) < 12 else -1
    if not 0 < size <= len(body):
        raise Refused("inference-header-content-length is not the length of the JSON in the body.")
    return body[:size], memoryview(body)[size:]


def _tensor(item: Input, path: str, tail: memoryview, at: int) -> tuple[Any, int]:
    """An input's array, and where the next one's bytes begin."""
    dtype = DATATYPES.get(item.datatype)
    if dtype is None:
        raise _wrong(f"one of {', '.join(DATATYPES)}", f"{path}.datatype")
    if not item.shape or any(size < 0 or size > 2**31 for size in item.shape):
        raise _wrong("list of sizes", f"{path}.shape")
    count = math.prod(item.shape)
    size = item.parameters.get("binary_data_size")
    if size is None:
        if not bytes(item.data):
            raise Refused("data is missing.", path=path, status=422)
        return _from_json(item, dtype, count, path), at
    if bytes(item.data) or not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(tail) - at:
        raise _wrong("number of bytes that follow the JSON", f"{path}.parameters.binary_data_size")
    part = tail[at : at + size]
    values = _texts(part, path) if dtype == "object" else _numbers(part, dtype, path)
    if len(values) != count:
        raise _wrong(f"{count} values, as the shape says,", path)
    return values.reshape(item.shape), at + size


def _numbers(part: memoryview, dtype: str, path: str) -> Any:
    own = np.dtype(dtype).newbyteorder("<")
    if len(part) % own.itemsize:
        raise _wrong(f"bytes of whole {dtype} values", path)
    found = np.frombuffer(part, dtype=own).astype(dtype)
    if dtype == "bool" and (np.frombuffer(part, dtype="uint8") > 1).any():
        raise _wrong("bytes of 0 and 1", path)
    return found


def _texts(part: memoryview, path: str) -> Any:
    """Each text is preceded by its length, in four bytes, the lowest first."""
    found, at = [], 0
    try:
        while at < len(part):
            size = int.from_bytes(part[at : at + 4], "little")
            if at + 4 + size > len(part):
                raise ValueError
            found.append(bytes(part[at + 4 : at + 4 + size]).decode())
            at += 4 + size
    except ValueError:
        raise _wrong("texts in UTF-8, each after its length in four bytes", path) from None
    values = np.empty(len(found), dtype=object)
    values[:] = found
    return values


_VALUES: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float | None, "O": str | None}
_FLAT: dict[str, Any] = {kind: msgspec.json.Decoder(types.list_of(own)) for kind, own in _VALUES.items()}


def _from_json(item: Input, dtype: str, count: int, path: str) -> Any:
    """The values of ``data``, flat or nested as the shape says."""
    own = np.dtype(dtype)
    raw = bytes(item.data)
    if (array := numbers(raw, own.kind)) is not None and len(array) == count and own.itemsize == 8:
        return array.reshape(item.shape)
    try:
        values = _FLAT[own.kind].decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        values = _nested(raw, own.kind, len(item.shape), path)
    if len(values) != count:
        raise _wrong(f"{count} values, as the shape says,", f"{path}.data")
    try:
        if own.kind in "iu":
            bounds = np.iinfo(own)
            if values and (min(values) < bounds.min or max(values) > bounds.max):
                raise OverflowError
        if own.kind != "O":
            return np.array(values, dtype=own).reshape(item.shape)
    except (OverflowError, ValueError, TypeError):
        raise _wrong(f"values of {item.datatype}", f"{path}.data") from None
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found.reshape(item.shape)


def _nested(raw: bytes, kind: str, depth: int, path: str) -> list[Any]:
    own = _VALUES[kind]
    for _ in range(depth):
        own = types.list_of(own)
    try:
        values = msgspec.json.decode(raw, type=own)
    except msgspec.ValidationError:
        raise _wrong("values of the datatype, flat or nested as the shape says,", f"{path}.data") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    for _ in range(depth - 1):
        if len({len(part) for part in values}) > 1:
            raise Refused("the lists at one level differ in length.", path=f"{path}.data", status=422)
        values = [value for part in values for value in part]
    found: list[Any] = values
    return found


def metadata(signature: Signature, entry: Any, *, classes: int = 0) -> dict[str, Any]:
    """What the protocol tells of a model: its inputs and outputs.

    Args:
        classes: of how many it gives probabilities, which are told where they are asked for; 0 for none.
    """
    if signature.tensor is not None:
        own = signature.tensor
        inputs = [{
            "name": own.name or "input", "datatype": _OF_DTYPE.get(np.dtype(own.dtype), "BYTES"),
            "shape": [-1, *own.shape],
        }]  # fmt: skip
    else:
        inputs = [
            {"name": column.name, "datatype": _OF_COLUMN.get(column.type, "BYTES"), "shape": [-1, 1]}
            for column in signature.columns
        ]
    spec = (entry["model"]["signature"].get("outputs") or [{}])[0].get("tensor-spec") or {}
    dtype = spec.get("dtype", "")
    kind = _OF_DTYPE.get(np.dtype(dtype), "BYTES") if dtype and dtype not in ("str", "object") else "BYTES"
    outputs = [{"name": "predict", "datatype": kind, "shape": spec.get("shape", [-1])}]
    if classes:
        outputs.append({"name": "predict_proba", "datatype": "FP64", "shape": [-1, classes]})
    return {"inputs": inputs, "outputs": outputs}


def answered(answer: Answer, said: dict[str, Any]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The protocol's answer, and the headers that it needs."""
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    pairs = [("predict", answer.predictions), ("predict_proba", answer.probabilities)]
    for name, text in pairs:
        if text:
            outputs.append(_output(name, orjson.loads(text), said["binary"], parts))
    body = {
        "model_name": answer.served.name, "model_version": answer.served.version, "id": said["id"] or answer.request,
        "parameters": {"request_id": answer.request}, "outputs": outputs,
    }  # fmt: skip
    head = orjson.dumps(body)
    if not parts:
        return head, [(b"content-type", b"application/json")]
    return head + b"".join(parts), [
        (b"content-type", b"application/octet-stream"),
        (b"inference-header-content-length", str(len(head)).encode()),
    ]


def _output(name: str, values: list[Any], binary: bool, parts: list[bytes]) -> dict[str, Any]:
    array = np.array(values, dtype=object if any(isinstance(v, (str, dict, type(None))) for v in values) else None)
    kind = _OF_DTYPE.get(array.dtype, "BYTES") if array.dtype != object else "BYTES"
    found: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
    if not binary:
        return {**found, "data": array.reshape(-1).tolist()}
    if kind == "BYTES":
        texts = [str(value).encode() for value in array.reshape(-1).tolist()]
        part = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    else:
        part = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    parts.append(part)
    return {**found, "parameters": {"binary_data_size": len(part)}}
