"""The ``gates`` section: names and options are held against the functions' signatures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import PipelineError, UsageError
from nbprod.gates.spec import GateSpec, check_options, read_gates


def test_gates_are_read_in_the_order_of_the_file() -> None:
    section = [{"metric_at_least": {"metric": "auc", "value": 0.8}}, "clean_source", {"size": {"at_most": "5MB"}}]
    assert read_gates(section) == (
        GateSpec(name="metric_at_least", options={"metric": "auc", "value": 0.8}),
        GateSpec(name="clean_source"),
        GateSpec(name="size", options={"at_most": "5MB"}),
    )


def test_a_pipeline_without_gates_has_none() -> None:
    assert read_gates(None) == ()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"size": {}}, "gates must be a list of gates, not "),
        ([{"size": {}, "fair": {}}], "a gate must be a name with its options, such as `size: {at_most: 50MB}`, not "),
        ([7], "a gate must be a name with its options"),
        ([{"size": 7}], "the options of the gate size must be a mapping, not "),
        (["metric_at_lest"], "Did you mean 'metric_at_least'?"),
        ([{"size": {"atmost": "5MB"}}], "the gate size has no option 'atmost'. Did you mean 'at_most'?"),
        ([{"metric_at_least": {"metric": "auc"}}], "the gate metric_at_least needs value."),
        (
            [{"metric_at_least": {"metric": "auc", "value": "high"}}],
            "value of the gate metric_at_least must be a number",
        ),
        ([{"metric_at_least": {"metric": "auc", "value": True}}], "value of the gate metric_at_least must be a number"),
        ([{"metric_at_least": {"metric": 3, "value": 1}}], "metric of the gate metric_at_least must be text"),
        ([{"latency": {"p99_ms": 5, "calls": 1.5}}], "calls of the gate latency must be a whole number"),
        ([{"data_valid": {"dataset": "train", "columns": {"age": {"gee": 0}}}}], "Did you mean 'ge'?"),
        ([{"regression": {"slices": [{"where": "age >"}]}}], "slice 1 of regression"),
        ([{"clean_source": {"x": 1}}], "the gate clean_source has no option 'x'. It takes none."),
    ],
)
def test_what_does_not_fit_is_refused(section: Any, said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read_gates(section)
    assert said in str(caught.value)


def test_an_error_names_the_file_and_the_line() -> None:
    text = "name: p\nstages: {}\ngates:\n  - clean_source\n  - sise: {at_most: 5MB}\n"
    with pytest.raises(PipelineError, match=r"^p\.yaml:5: there is no 'sise'"):
        read_gates(["clean_source", {"sise": {"at_most": "5MB"}}], file="p.yaml", text=text)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_any_options_are_taken_or_refused_in_one_sentence(options: dict[str, Any]) -> None:
    try:
        check_options("not_worse_than", options)
    except UsageError as error:
        assert "not_worse_than" in error.message
    else:
        assert set(options) >= {"metric"}
