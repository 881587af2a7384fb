"""The ``log`` section: what is refused, and which columns a model's predictions are kept with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.document import load_yaml
from nbprod.entities import DatasetCard
from nbprod.errors import PipelineError, UsageError
from nbprod.predictions.policy import KEYS, LogPolicy, marked_by, marked_columns, policy_of, read_log

COLUMNS = ("age", "name", "score")
MARKED = {"name": "personal"}


def read(text: str) -> LogPolicy:
    return read_log(load_yaml(text, file="p.yaml").value.get("log"), file="p.yaml", text=text)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("log:", LogPolicy()),
        ("log: {}", LogPolicy()),
        ("log: {inputs: all, retain: 90d}", LogPolicy(retain=90 * 86400.0)),
        ("log: {inputs: none}", LogPolicy(inputs="none")),
        ("log: {inputs: [age, name], because: ' a court wants it '}",
         LogPolicy(inputs="named", columns=("age", "name"), because="a court wants it")),
    ],
)  # fmt: skip
def test_a_section_is_read(text: str, policy: LogPolicy) -> None:
    assert read(text) == policy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log: all", "p.yaml:1: log must be a mapping (`key: value` lines), not the text 'all'."),
        ("log:\n  input: all", "p.yaml:2: unknown key 'input' in log. Did you mean 'inputs'?"),
        ("log:\n  inputs: al",
         "p.yaml:2: log.inputs must be `all`, `none` or a list of columns, not the text 'al'. Did you mean 'all'?"),
        ("log:\n  inputs: 7", "p.yaml:2: log.inputs must be `all`, `none` or a list of columns, not the number 7."),
        ("log:\n  inputs: []", "p.yaml:2: log.inputs is an empty list: write `none`."),
        ("log:\n  inputs:\n    - age\n    - 7", "p.yaml:4: log.inputs must name columns, but holds the number 7."),
        ("log:\n  inputs:\n    - age\n    - age", "p.yaml:4: log.inputs names 'age' twice: keep one."),
        ("log:\n  retain: 90", "p.yaml:2: log.retain must be a time such as 90d or 12h, not the number 90."),
        ("log:\n  retain: 0d", "p.yaml:2: log.retain must be a time such as 90d or 12h, not the text '0d'."),
        ("log:\n  because: x\n  retain: true", "p.yaml:3: log.retain must be a time such as 90d or 12h, not true."),
        ("log:\n  because: ''", "p.yaml:2: log.because must say why in words, not the text ''."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(text)
    assert str(caught.value) == said


def test_every_key_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "prediction-log.md").read_text(encoding="utf-8")
    assert [key for key in KEYS if f"\n  {key}:" not in page] == []


def test_columns_that_a_card_marks_are_left_out() -> None:
    assert LogPolicy().kept(COLUMNS, MARKED) == ("age", "score")
    assert LogPolicy(inputs="none").kept(COLUMNS, MARKED) == ()


def test_columns_that_are_named_are_kept_in_the_models_order_with_a_reason() -> None:
    policy = LogPolicy(inputs="named", columns=("score", "name"), because="a court wants it")
    assert policy.kept(COLUMNS, MARKED) == ("name", "score")
    assert LogPolicy(inputs="named", columns=("age",)).kept(COLUMNS, MARKED) == ("age",)


def test_columns_that_are_marked_are_not_kept_without_a_reason() -> None:
    with pytest.raises(UsageError, match=r"that a dataset card marks: 'name' \(personal\); say why with `because:`\."):
        LogPolicy(inputs="named", columns=("name",)).kept(COLUMNS, MARKED)


def test_a_named_column_that_the_model_does_not_take_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'scor', which is no input of the model\. Did you mean 'score'\?"):
        LogPolicy(inputs="named", columns=("scor",)).kept(COLUMNS, MARKED)


def test_the_gravest_mark_wins() -> None:
    cards = [
        DatasetCard(personal=("a", "b", "c"), sensitive=("b",), subject="c"),
        DatasetCard(personal=("b", "c", "d")),
    ]
    assert marked_by(cards) == {"a": "personal", "b": "sensitive", "c": "subject", "d": "personal"}


def test_policy_and_marks_are_in_the_entry() -> None:
    entry: dict[str, Any] = {
        "pipeline": {"path": "p.yaml", "sections": {"log": {"retain": "1d"}}},
        "inputs": [{"card": {"personal": ["name"], "subject": "id"}}, {"card": "unknown"}, {"card": "derived"}],
    }
    assert policy_of(entry) == LogPolicy(retain=86400.0)
    assert marked_columns(entry) == {"name": "personal", "id": "subject"}
    assert policy_of({"pipeline": {"path": None, "sections": {}}}) == LogPolicy()


PLAIN = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3) | (
    st.dictionaries(st.sampled_from(["inputs", "retain", "because", "x"]), inner)))  # fmt: skip


@given(PLAIN)
def test_any_section_is_taken_or_refused(section: Any) -> None:
    try:
        policy = read_log(section)
    except PipelineError as error:
        assert error.message.endswith((".", "?"))
    else:
        assert (policy.inputs == "named") == bool(policy.columns)
        assert policy.retain is None or policy.retain > 0
