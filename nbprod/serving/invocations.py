"""MLflow's scoring protocol, ``POST /invocations``: all its JSON forms and CSV, so that its clients work unchanged.

It is stricter than MLflow, which takes a text for a number and drops columns that it does not know.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, UnsetType

from nbprod.serving import types
from nbprod.serving.asked import Asked
from nbprod.serving.batching import Answer
from nbprod.serving.cells import cell
from nbprod.serving.decode import Decoder
from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Column
from nbprod.serving.tensors import array_of

FORMS = "dataframe_split, dataframe_records, instances or inputs"


class _Params(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    proba: bool | UnsetType = UNSET


class _Split(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    data: msgspec.Raw
    columns: list[str] | UnsetType = UNSET
    index: msgspec.Raw | UnsetType = UNSET


class Invocations:
    """Reads ``/invocations`` for one version."""

    def __init__(self, decoder: Decoder) -> None:
        self._own = decoder
        signature = decoder.signature
        if signature.tensor is not None:
            tensor = types.tensor_type(signature.tensor)
            inputs = tensor
            if signature.tensor.name:
                named = msgspec.defstruct(
                    "Named", [("f", tensor, msgspec.field(name=signature.tensor.name))], forbid_unknown_fields=True
                )
                inputs = tensor | named
            fields: list[Any] = [("instances", tensor | UnsetType, UNSET), ("inputs", inputs | UnsetType, UNSET)]
        else:
            shapes = decoder.shapes
            rows: Any = list[shapes.record | shapes.row]  # type: ignore[name-defined]
            fields = [
                ("dataframe_split", _Split | UnsetType, UNSET),
                ("dataframe_records", list[shapes.record] | UnsetType, UNSET),  # type: ignore[name-defined]
                ("instances", rows | UnsetType, UNSET),
                ("inputs", rows | shapes.by_column | UnsetType, UNSET),
            ]
        fields.append(("params", _Params | None | UnsetType, UNSET))
        self._body: Any = msgspec.json.Decoder(
            msgspec.defstruct("Body", fields, kw_only=True, forbid_unknown_fields=True)
        )
        self._forms = [name for name, *_ in fields[:-1]]

    def json(self, body: bytes) -> Asked:
        """The rows of a JSON body.

        Raises:
            Refused: it is of none of MLflow's forms, or does not fit the signature.
        """
        found = self._own.typed(self._body, body)
        given = [name for name in self._forms if getattr(found, name) is not UNSET]
        if len(given) != 1:
            raise Refused(f"the body must hold exactly one of {', '.join(self._forms)}.", path="$")
        (name,) = given
        value, proba, keys = getattr(found, name), False, 1
        if found.params is not UNSET:
            keys += 1
            if found.params is not None:
                proba, keys = found.params.proba is True, keys + (found.params.proba is not UNSET)
        if self._own.signature.tensor is not None:
            return self._tensor(value, name, body, keys)
        if name == "dataframe_split":
            asked = self._split(value, body, keys)
        elif name == "dataframe_records" or (
            isinstance(value, list) and value and isinstance(value[0], msgspec.Struct)
        ):
            if any(isinstance(row, tuple) for row in value):
                raise Refused("lists and objects are mixed.", path=f"$.{name}", status=422)
            asked = self._own.of_records(value, body, keys, where=name)
        elif isinstance(value, list):
            if any(not isinstance(row, tuple) for row in value):
                raise Refused("lists and objects are mixed.", path=f"$.{name}", status=422)
            asked = self._rows(value, name, body, keys)
        else:
            asked = self._by_column(value, body, keys)
        asked.proba = proba
        return asked

    def _split(self, value: Any, body: bytes, keys: int) -> Asked:
        own = self._own
        columns = own.names if value.columns is UNSET else value.columns
        rows = own.ordered(columns, value.data, where="$.dataframe_split", key="data")
        count = 1 + (value.columns is not UNSET) + (value.index is not UNSET)
        own.single_keys(body, keys + count)
        return Asked(rows=own.finished(rows, "dataframe_split.data"))

    def _rows(self, rows: Any, name: str, body: bytes, keys: int) -> Asked:
        self._own.check_count(len(rows))
        self._own.single_keys(body, keys)
        return Asked(rows=self._own.finished(rows, name))

    def _by_column(self, value: Any, body: bytes, keys: int) -> Asked:
        columns = msgspec.structs.astuple(value)
        if len({len(column) for column in columns}) > 1:
            raise Refused("the columns differ in length.", path="$.inputs", status=422)
        self._own.check_count(len(columns[0]))
        self._own.single_keys(body, keys + len(columns))
        return Asked(rows=self._own.finished(list(zip(*columns, strict=True)), "inputs"))

    def _tensor(self, value: Any, name: str, body: bytes, keys: int) -> Asked:
        tensor = self._own.signature.tensor
        if tensor is None:  # pragma: no cover - the caller asked
            raise TypeError
        if isinstance(value, msgspec.Struct):
            value, keys = value.f, keys + 1  # type: ignore[attr-defined]
        self._own.single_keys(body, keys)
        found = array_of(value, tensor, f"$.{name}")
        self._own.check_count(len(found))
        return Asked(matrix=found)

    def csv(self, body: bytes) -> Asked:
        """The rows of a CSV body whose first line names the columns; see `cell`.

        Raises:
            Refused: it is none, or does not fit the signature.
        """
        own = self._own
        if own.signature.tensor is not None:
            raise Refused("the model takes a tensor, and CSV holds columns.", status=415)
        try:
            lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error):
            raise Refused("the body is not valid CSV in UTF-8.") from None
        if not lines:
            raise Refused("the CSV holds no line with the columns' names.")
        own.check_columns(lines[0], "$[0]")
        own.check_count(len(lines) - 1)
        at = [lines[0].index(name) if name in lines[0] else None for name in own.names]
        rows = []
        for number, line in enumerate(lines[1:], 1):
            if len(line) != len(lines[0]):
                raise Refused(f"line {number + 1} has not as many cells as the first.", path=f"$[{number}]", status=422)
            cells = zip(own.signature.columns, at, strict=True)
            rows.append(tuple(_cell(column, None if n is None else line[n], number) for column, n in cells))
        return Asked(rows=rows)


def _cell(column: Column, text: str | None, line: int) -> Any:
    try:
        return cell(column, text)
    except ValueError:
        path, expected = f"$[{line}].{column.name}", types.word(column)
        raise Refused(f"expected {expected} at {path}.", path=path, expected=expected, status=422) from None


def answered(answer: Answer) -> bytes:
    """MLflow's form of an answer, with the id and the version beside it."""
    more = b',"probabilities":' + answer.probabilities if answer.probabilities else b""
    tail = orjson.dumps({"request_id": answer.request, "version": answer.served.version})
    return b'{"predictions":' + answer.predictions + more + b"," + tail[1:]


def refused(error: Refused) -> bytes:
    """MLflow's form of an error."""
    code = "BAD_REQUEST" if error.status < 500 else "INTERNAL_ERROR"
    return orjson.dumps({"error_code": code, "message": error.message, **error.to_dict()})
