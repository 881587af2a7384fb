"""The OpenAPI document of a service, made from its model's signature: names, types, what is required, an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from nbprod.serving.signature import Column, Tensor

if TYPE_CHECKING:
    from nbprod.serving.served import Served

_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "minimum": -3.4028234663852886e38, "maximum": 3.4028234663852886e38},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"type": "string", "format": "date-time"},
}

_SAMPLES: Mapping[str, Any] = {
    "boolean": True, "integer": 1, "long": 1, "float": 0.5, "double": 0.5, "string": "text", "binary": "dGV4dA==",
    "datetime": "2026-01-31T12:00:00", "array": [], "map": {}, "object": {}, "any": None,
}  # fmt: skip

_OBJECT = {"type": "object"}

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "path": {"type": "string", "description": "JSON path of what is wrong"},
        "expected": {"type": "string"},
    },
}


def document(served: Served, *, locked: bool) -> bytes:
    """The document, as JSON.

    Args:
        locked: whether callers need an API key.
    """
    entry = served.entry
    body: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": served.name,
            "version": served.version,
            "summary": f"Predictions of {served.ref}",
            "description": _known(entry.get("intended_use")),
            "x-limitations": _known(entry.get("limitations")),
            "x-owner": _known(entry.get("owner")),
            "x-digest": served.digest,
            "x-path": served.proof.path,
        },
        "servers": [{"url": "/"}],
        "paths": _paths(served),
        "components": {"schemas": {"Row": _row(served), "Error": _ERROR}},
    }
    if locked:
        body["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        body["security"] = [{"key": []}]
    return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY, default=str)


def _known(text: Any) -> str:
    return "" if text in (None, "unknown") else str(text)


def value_schema(kind: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema of a value."""
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if kind == "array":
        return {"type": "array", "items": value_schema(detail["items"]["type"], detail["items"])}
    if kind == "map":
        return {"type": "object", "additionalProperties": value_schema(detail["values"]["type"], detail["values"])}
    if kind == "object":
        own = detail["properties"]
        return {
            "type": "object",
            "properties": {name: value_schema(item["type"], item) for name, item in own.items()},
            "required": [name for name, item in own.items() if item.get("required", True)],
            "additionalProperties": False,
        }
    return {}


def _column(column: Column) -> dict[str, Any]:
    found = value_schema(column.type, column.detail)
    if not column.required and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


def _tensor(tensor: Tensor) -> dict[str, Any]:
    kind = tensor.dtype
    found: dict[str, Any] = {
        "type": "integer"
        if "int" in kind
        else "boolean"
        if kind == "bool"
        else "number"
        if "float" in kind
        else "string"
    }
    for size in reversed(tensor.shape):
        found = {"type": "array", "items": found}
        if size != -1:
            found |= {"minItems": size, "maxItems": size}
    return found


def _row(served: Served) -> dict[str, Any]:
    if served.signature.tensor is not None:
        return _tensor(served.signature.tensor)
    columns = served.signature.columns
    return {
        "type": "object",
        "properties": {column.name: _column(column) for column in columns},
        "required": [column.name for column in columns if column.required],
        "additionalProperties": False,
    }


def example(served: Served) -> dict[str, Any]:
    """A body of ``/predict`` that is answered: a row of the stored example, or one made of the types."""
    from nbprod.serving.asked import plain
    from nbprod.serving.loading import example_rows

    rows = example_rows(served.entry, served.signature)
    if served.signature.tensor is not None:
        return {"rows": rows[:1]}
    columns = served.signature.columns
    if rows:
        values = [value.isoformat() if hasattr(value, "isoformat") else value for value in rows[0]]
    else:
        values = [_SAMPLES[column.type] for column in columns]
    return {
        "records": [{c.name: plain(v) if isinstance(v, bytes) else v for c, v in zip(columns, values, strict=True)}]
    }


def _paths(served: Served) -> dict[str, Any]:
    name = served.name
    proba = {"name": "proba", "in": "query", "schema": {"type": "boolean"}, "description": "probabilities, too"}
    predict = _post("Predict rows.", _predict_schema(served), _answer_schema(served), example(served))
    if served.proba is not None:
        predict["parameters"] = [proba]
    return {
        "/predict": {"post": predict},
        "/invocations": {
            "post": _post("Predict as MLflow's clients ask.", _invocations_schema(served), _OBJECT, _split(served))
        },
        f"/v2/models/{name}/infer": {
            "post": _post("Predict with the Open Inference Protocol.", _infer_schema(served), _OBJECT, _infer(served))
        },
        f"/v2/models/{name}": {"get": _get("The model's inputs and outputs in the Open Inference Protocol.")},
        "/feedback": {
            "post": _post("Say what turned out to be true.", _feedback_schema(), _OBJECT, None, status="202")
        },
        "/livez": {"get": {**_get("Whether the process runs."), "security": []}},
        "/readyz": {"get": {**_get("Whether it answers, and which version."), "security": []}},
        "/metrics": {"get": _get("Counters for Prometheus.", media="text/plain")},
    }  # fmt: skip


def _get(summary: str, *, media: str = "application/json") -> dict[str, Any]:
    schema = {"type": "string"} if media == "text/plain" else {"type": "object"}
    answers = {
        "200": {"description": "the answer", "content": {media: {"schema": schema}}},
        **_errors("401", "403", "503"),
    }
    return {"summary": summary, "responses": answers}


def _errors(*statuses: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": "refused", "content": content} for status in statuses}


def _post(
    summary: str, schema: Mapping[str, Any], answer: Mapping[str, Any], sample: Any, *, status: str = "200"
) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": schema}
    if sample is not None:
        media["example"] = sample
    answers = {status: {"description": "the answer", "content": {"application/json": {"schema": answer}}}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": media}},
        "responses": {**answers, **_errors("400", "401", "403", "404", "413", "415", "422", "503")},
    }


def _predict_schema(served: Served) -> dict[str, Any]:
    row = {"$ref": "#/components/schemas/Row"}
    proba = {"proba": {"type": "boolean", "description": "probabilities, too"}}
    if served.signature.tensor is not None:
        return {
            "type": "object", "required": ["rows"], "additionalProperties": False,
            "properties": {"rows": {"type": "array", "items": row, "minItems": 1}},
        }  # fmt: skip
    table = _table(served)
    names = {"type": "array", "const": list(served.signature.names), "description": "in any order"}
    return {
        "oneOf": [
            {
                "type": "object", "required": ["records"], "additionalProperties": False,
                "properties": {"records": {"type": "array", "items": row, "minItems": 1}, **proba},
            },
            {
                "type": "object", "required": ["columns", "rows"], "additionalProperties": False,
                "properties": {"columns": names, "rows": {"type": "array", "items": table, "minItems": 1}, **proba},
            },
        ]
    }  # fmt: skip


def _table(served: Served) -> dict[str, Any]:
    """A row as a list of values in the model's order."""
    cells = [_column(column) for column in served.signature.columns]
    return {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}


def _invocations_schema(served: Served) -> dict[str, Any]:
    """MLflow's four forms, one of which a body has."""
    row: dict[str, Any] = {"$ref": "#/components/schemas/Row"}
    rows = {"type": "array", "items": row, "minItems": 1}
    if served.signature.tensor is not None:
        name = served.signature.tensor.name
        named = {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: rows}}
        forms: dict[str, Any] = {"instances": rows, "inputs": {"oneOf": [rows, named]} if name else rows}
    else:
        table = {"type": "array", "items": _table(served), "minItems": 1}
        columns = served.signature.columns
        by_column = {
            "type": "object", "required": [column.name for column in columns], "additionalProperties": False,
            "properties": {c.name: {"type": "array", "items": _column(c), "minItems": 1} for c in columns},
            "description": "lists of equal length",
        }  # fmt: skip
        names = {"type": "array", "const": list(served.signature.names), "description": "in any order"}
        split = {
            "type": "object", "required": ["columns", "data"], "additionalProperties": False,
            "properties": {"columns": names, "index": {"type": "array"}, "data": table},
        }  # fmt: skip
        forms = {
            "dataframe_split": split, "dataframe_records": rows, "instances": {"oneOf": [rows, table]},
            "inputs": {"oneOf": [rows, table, by_column]},
        }  # fmt: skip
    params = {"type": ["object", "null"], "additionalProperties": False, "properties": {"proba": {"type": "boolean"}}}
    return {
        "oneOf": [
            {
                "type": "object", "required": [form], "additionalProperties": False,
                "properties": {form: schema, "params": params},
            }
            for form, schema in forms.items()
        ]
    }  # fmt: skip


def _infer_schema(served: Served) -> dict[str, Any]:
    """The protocol's own form; which tensors a model takes is told by its metadata."""
    from nbprod.serving.inference import DATATYPES

    size = {"type": "integer", "minimum": 0, "maximum": 2**31}
    tensor = {
        "type": "object", "required": ["name", "shape", "datatype", "data"], "additionalProperties": False,
        "properties": {
            "name": {"type": "string"}, "shape": {"type": "array", "items": size, "minItems": 1},
            "datatype": {"enum": list(DATATYPES)}, "parameters": {"type": "object"},
            "data": {"type": "array", "description": "as many values as the shape says, flat or nested"},
        },
    }  # fmt: skip
    output = {
        "type": "object", "required": ["name"], "additionalProperties": False,
        "properties": {
            "name": {"enum": ["predict", *(["predict_proba"] if served.proba else [])]},
            "parameters": {"type": "object"},
        },
    }  # fmt: skip
    return {
        "type": "object", "required": ["inputs"], "additionalProperties": False,
        "properties": {
            "id": {"type": "string"}, "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": tensor, "minItems": 1}, "outputs": {"type": "array", "items": output},
        },
    }  # fmt: skip


def _answer_schema(served: Served) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "request_id": {"type": "string"}, "model": {"type": "string"}, "version": {"type": "string"},
        "predictions": {"type": "array"},
    }  # fmt: skip
    if served.proba is not None:
        properties["probabilities"] = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
        properties["classes"] = {"type": "array"}
    return {"type": "object", "properties": properties, "required": ["request_id", "model", "version", "predictions"]}


def _feedback_schema() -> dict[str, Any]:
    return {
        "type": "object", "required": ["request_id", "value"], "additionalProperties": False,
        "properties": {
            "request_id": {"type": "string"},
            "value": {"description": "what the prediction should have been, or the outcome's value"},
            "row": {"type": ["integer", "null"], "minimum": 0, "maximum": 2**31 - 1},
            "name": {"type": "string", "maxLength": 200, "description": "of a business outcome; empty for the truth"},
        },
    }  # fmt: skip


def _split(served: Served) -> dict[str, Any]:
    body = example(served)
    if "rows" in body:
        return {"instances": body["rows"]}
    (record,) = body["records"]
    return {"dataframe_split": {"columns": list(record), "data": [list(record.values())]}}


def _infer(served: Served) -> dict[str, Any] | None:
    """The example as tensors: one for each column that has a value in it, or one for all; none for nested columns."""
    from nbprod.serving.inference import metadata
    from nbprod.serving.signature import NESTED

    body, about = example(served), metadata(served.signature, served.entry)["inputs"]
    if "rows" in body:
        rows = body["rows"]
        shape, inner = [], rows
        while isinstance(inner, list):
            shape.append(len(inner))
            inner = inner[0] if inner else None
        return {"inputs": [{**about[0], "shape": shape, "data": rows}]}
    if served.signature.types & set(NESTED):
        return None
    (record,) = body["records"]
    return {
        "inputs": [{**i, "shape": [1], "data": [record[i["name"]]]} for i in about if record[i["name"]] is not None]
    }
