"""The nouns: every fact survives JSON, whatever it holds."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import types
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod import entities
from nbprod.entities import Fact, Metric, ModelVersion, Pipeline, Stage, StageRun

FACTS = [cls for _, cls in inspect.getmembers(entities, inspect.isclass) if issubclass(cls, Fact) and cls is not Fact]

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


MADE: dict[type[Fact], st.SearchStrategy[Any]] = {}
"""Strategies are dear to make, and are made once."""


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, from the few that facts use."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return PLAIN
    if isinstance(hint, type) and issubclass(hint, Fact):
        return facts(hint)
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values(args[1]), max_size=2)
    if origin is types.UnionType:
        return st.none() | values(next(arg for arg in args if arg is not types.NoneType))
    return {str: st.text(max_size=5), int: st.integers(), float: st.floats(), bool: st.booleans()}[hint]


def facts(cls: type[Fact]) -> st.SearchStrategy[Any]:
    """Facts of a class; required fields always, others sometimes."""
    if cls in MADE:
        return MADE[cls]
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    required = {name: values(hints[name]) for name in needed}
    optional = {f.name: values(hints[f.name]) for f in fields if f.name not in required}
    made = st.fixed_dictionaries(required, optional=optional).map(lambda found: cls(**found))
    return MADE.setdefault(cls, made)


def same(one: Any, other: Any) -> bool:
    """Equality in which not-a-number equals itself."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("cls", FACTS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_fact_comes_back_from_json_as_it_went_in(cls: type[Fact], data: st.DataObject) -> None:
    fact = data.draw(facts(cls))
    text = json.dumps(fact.to_dict(), allow_nan=False)
    assert same(cls.from_dict(json.loads(text)), fact)


@pytest.mark.parametrize("cls", FACTS)
def test_a_fact_can_neither_be_changed_nor_extended(cls: type[Fact]) -> None:
    parameters = getattr(cls, "__dataclass_params__")  # noqa: B009
    assert parameters.frozen
    assert not hasattr(cls(**dict.fromkeys(_required(cls))), "__dict__")


def _required(cls: type[Fact]) -> list[str]:
    found = dataclasses.fields(cls)  # type: ignore[arg-type]
    return [f.name for f in found if f.default is f.default_factory is dataclasses.MISSING]


def test_every_field_is_present_in_the_plain_form() -> None:
    assert Stage(name="a", notebook="a.ipynb").to_dict().keys() == {f.name for f in dataclasses.fields(Stage)}


def test_fields_of_a_newer_version_are_ignored() -> None:
    assert Metric.from_dict({"name": "auc", "value": 0.5, "colour": "red"}) == Metric(name="auc", value=0.5)


def test_a_field_that_is_missing_gets_its_default() -> None:
    assert StageRun.from_dict({"stage": "train"}) == StageRun(stage="train")


def test_a_field_that_must_be_there_is_missed() -> None:
    with pytest.raises(TypeError, match="value"):
        Metric.from_dict({"name": "auc"})


@pytest.mark.parametrize(("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_a_number_that_is_not_finite_is_text_in_json_and_a_number_again(value: float, text: str) -> None:
    metric = Metric(name="loss", value=value, interval=(value, 1.0), curve=((0.0, value),))
    plain = metric.to_dict()
    assert (plain["value"], plain["interval"], plain["curve"]) == (text, [text, 1.0], [[0.0, text]])
    assert same(Metric.from_dict(plain), metric)


def test_a_stage_is_found_by_its_name() -> None:
    train = Stage(name="train", notebook="train.ipynb")
    assert Pipeline(name="p", stages=(train,)).stage("train") is train


def test_a_stage_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="train"):
        Pipeline(name="p", stages=()).stage("train")


def test_a_version_is_written_as_name_and_number() -> None:
    assert ModelVersion(name="churn", version="3").ref == "churn/3"
