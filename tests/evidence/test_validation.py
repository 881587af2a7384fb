"""Our own check of a JSON Schema, held against jsonschema on values made at random."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.evidence.validation import problems

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "additionalProperties": False,
    "properties": {
        "a": {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "unknown"}]},
        "b": {"type": "array", "items": {"$ref": "#/$defs/word"}},
        "c": {"type": ["object", "null"], "additionalProperties": {"enum": ["x", "y"]}},
        "d": {},
    },
    "$defs": {"word": {"type": "string", "pattern": "^[a-z]+$"}},
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.5]),
    st.sampled_from(["", "x", "unknown", "A"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(values)
def test_it_accepts_and_refuses_what_jsonschema_does(value: Any) -> None:
    assert (not list(problems(value, SCHEMA))) == jsonschema.Draft202012Validator(SCHEMA).is_valid(value)


def test_a_problem_names_its_place() -> None:
    assert list(problems({"a": 1, "b": ["x", "A"]}, SCHEMA)) == ["b[1] is not of the form ^[a-z]+$"]
    assert list(problems(3, SCHEMA)) == ["it must be object"]
