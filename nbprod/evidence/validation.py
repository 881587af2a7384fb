"""Check a value against a JSON Schema, as far as nbprod's own schemas go: a few keywords, no library.

It knows ``type``, ``const``, ``enum``, ``pattern``, ``minimum``, ``required``, ``properties``, ``items``, ``anyOf``,
``additionalProperties`` and ``$ref`` to ``#/$defs/...``. The tests hold it against jsonschema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


@cache
def load_schema(name: str) -> Mapping[str, Any]:
    """One of the schemas that nbprod ships, such as ``model-version-1``."""
    text = resources.files("nbprod.evidence").joinpath("schema", f"{name}.json").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = json.loads(text)
    return loaded


def problems(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a value, as phrases that name the place: ``run.seconds is missing``."""
    return _problems(value, schema, schema, "")


def _problems(value: Any, schema: Any, root: Mapping[str, Any], place: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema:
        if all(any(_problems(value, choice, root, place)) for choice in schema["anyOf"]):
            yield f"{place or 'it'} is none of what is allowed there"
        return
    here = place or "it"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{here} must be {schema['type']}"
        return
    if "const" in schema and value != schema["const"]:
        yield f"{here} must be {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{here} must be one of {', '.join(map(repr, schema['enum']))}"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{here} is not of the form {schema['pattern']}"
    if "minimum" in schema and isinstance(value, (int, float)) and value < schema["minimum"]:
        yield f"{here} must be at least {schema['minimum']}"
    if isinstance(value, dict):
        yield from _inside_object(value, schema, root, place)
    if isinstance(value, list) and "items" in schema:
        for position, item in enumerate(value):
            yield from _problems(item, schema["items"], root, f"{place}[{position}]")


def _is(value: Any, kinds: str | list[str]) -> bool:
    """Whether a value is of one of the types; true and false are no numbers, and 1.0 is an integer."""
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if isinstance(value, bool) and kind != "boolean":
            continue
        if isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer()):
            return True
    return False


def _inside_object(value: Mapping[str, Any], schema: Any, root: Mapping[str, Any], place: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{_below(place, name)} is missing"
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in known:
            yield from _problems(item, known[name], root, _below(place, name))
        elif others is False:
            yield f"{_below(place, name)} is not known"
        elif isinstance(others, dict):
            yield from _problems(item, others, root, _below(place, name))


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
