"""The gates of the data: valid, not leaking, representative, allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbprod.entities import DatasetCard
from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.contender import Rules
from nbprod.gates.data import data_allowed, data_valid, no_leakage, representation
from nbprod.gates.spec import read_gates
from tests.gates.made import contender

STRICT = Rules(strict=True)


def test_their_options_are_read_from_yaml() -> None:
    section = [
        {"data_valid": {"dataset": "train", "columns": {"age": {"ge": 0}}, "rows": {"min": 1}, "unique": ["age"]}},
        {"no_leakage": {"key": ["a", "b"], "share": 0}},
        {"representation": {"by": ["sex"], "min_rows": 50, "min_base_rate": 0.1, "groups": {"sex": ["f"]}}},
        {"data_allowed": {"licenses": ["MIT"], "because": {"sex": "It is asked."}}},
    ]
    assert [spec.name for spec in read_gates(section)] == [
        "data_valid",
        "no_leakage",
        "representation",
        "data_allowed",
    ]


def test_valid_data_pass() -> None:
    found = data_valid(contender(), None, dataset="train", columns={"age": {"dtype": "int", "ge": 20}}, rows={"min": 4})

    assert (found.verdict, found.reason) == ("passed", "train looks as it must.")


def test_invalid_data_fail_with_every_problem_in_the_details() -> None:
    found = data_valid(
        contender(), None, dataset="test", columns={"age": {"le": 50}}, rows={"min": 5}, unique=["sex"], extra="refuse"
    )

    assert found.verdict == "failed"
    assert found.reason == "test has 4 rows, and must have at least 5. There are 3 more such problems."
    assert found.observed == "4 problems"
    assert found.details["problems"][2:] == [
        "the column 'age' of test must be at most 50: 1 of 4 rows are not so, the first is row 4.",
        "the column 'sex' of test must be unique: 2 of 4 rows are not so, the first is row 3.",
    ]


def test_what_data_valid_cannot_do_is_said() -> None:
    with pytest.raises(UsageError, match="the column 'age' has no rule 'gee'"):
        data_valid(contender(), None, dataset="train", columns={"age": {"gee": 0}})
    with pytest.raises(UsageError, match=r"churn/1 has no dataset 'tran': .* Did you mean 'train'\?"):
        data_valid(contender(), None, dataset="tran")
    lost = contender()
    lost.lose("train")
    with pytest.raises(ArtifactError):
        data_valid(lost, None, dataset="train")


def leaking(train: dict[str, Any], test: dict[str, Any], **options: Any) -> Any:
    """What no_leakage says of two sets."""
    return no_leakage(contender(rows={"train": pd.DataFrame(train), "test": pd.DataFrame(test)}), None, **options)


def test_sets_without_a_row_in_common_do_not_leak() -> None:
    found = no_leakage(contender(), None)

    assert found.verdict == "passed"
    assert found.reason == "0 of 4 rows of test (0.00%) are in train as well."
    assert found.observed == 0


def test_whole_rows_leak_in_the_columns_that_both_sets_have() -> None:
    found = leaking({"a": [1, 2], "b": ["x", "y"]}, {"a": [1.0, 2.0, None], "b": ["x", "x", "y"], "more": [0, 0, 0]})

    assert found.verdict == "failed"
    assert found.reason == "1 of 3 rows of test (33.33%) are in train as well, and 0.00% may."
    assert found.details == {"rows": 3, "shared": 1, "share": 1 / 3, "columns": ["a", "b"]}


def test_keys_leak_however_the_rest_differs_and_missing_ones_do_not_count() -> None:
    train, test = {"id": [1, 2, None], "x": [0, 0, 0]}, {"id": [2.0, 3.0, None], "x": [1, 1, 1]}

    found = leaking(train, test, key="id")
    assert (found.verdict, found.details["shared"], found.details["rows"]) == ("failed", 1, 2)
    assert found.reason.startswith("1 of 2 rows of test (50.00%) have values of id that are in train as well")
    assert leaking(train, test, key=["id", "x"]).verdict == "passed"
    assert leaking(train, test, key="id", share=0.5).verdict == "passed"
    assert leaking(train, test, key="id", of="train", against="test").details["rows"] == 2


def test_rows_that_stand_twice_in_one_set_are_no_leak() -> None:
    assert leaking({"a": [1, 1]}, {"a": [2, 2]}).verdict == "passed"


@pytest.mark.parametrize(
    ("train", "test", "key", "said"),
    [
        ({"a": [1]}, {"b": [1]}, None, "test and train have no column in common."),
        ({"a": [1]}, {"a": ["1"]}, "a", "The rows of test and train cannot be compared: 'a' holds text in one and"),
        ({"a": [1]}, {"a": [np.nan]}, "a", "test has no rows in which a is known."),
        ({"a": []}, {"a": [1]}, None, "train has no rows in which a is known."),
    ],
)
def test_what_cannot_be_compared_is_undecided(train: Any, test: Any, key: Any, said: str) -> None:
    found = leaking(train, test, key=key)

    assert found.verdict == "undecided"
    assert found.reason.startswith(said)


def test_a_key_that_is_no_column_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the dataset 'test' of churn/1 has no column 'ages'\. Did you mean 'age'\?"):
        no_leakage(contender(), None, key="ages")
    with pytest.raises(UsageError, match="has an empty key"):
        no_leakage(contender(), None, key=[])


def grouped(values: list[Any], target: list[Any], **options: Any) -> Any:
    """What representation says of a set with the column g."""
    rows = pd.DataFrame({"g": values, "left": target, "age": 1})
    return representation(contender(rows={"train": rows, "test": rows}), None, **{"by": "g", **options})


def test_large_groups_pass_and_their_sizes_are_shown() -> None:
    found = grouped(["f", "f", "m", "m", None], [0, 1, 1, 1, 0], min_rows=2, min_share=0.4, min_base_rate=0.5)

    assert (found.verdict, found.reason) == ("passed", "All 2 groups of train are large enough.")
    assert found.observed == {"rows": 2, "share": 0.4, "base_rate": 0.5}
    assert found.required == {"rows": 2, "share": 0.4, "base_rate": 0.5}
    assert found.details["g"] == [
        {"group": "g=(missing)", "rows": 1, "share": 0.2, "base_rate": 0.0},
        {"group": "g=f", "rows": 2, "share": 0.4, "base_rate": 0.5},
        {"group": "g=m", "rows": 2, "share": 0.4, "base_rate": 1.0},
    ]


def test_small_groups_fail_by_each_floor() -> None:
    def small(**floors: Any) -> str:
        found = grouped([1, 1, 1, 2], [1, 1, 0, 0], **floors)
        assert found.verdict == "failed"
        return str(found.reason)

    assert small(min_rows=2) == "In train, g=2 has 1 row and needs 2."
    assert small(min_share=0.3) == "In train, g=2 has a share of 0.25 and needs 0.3."
    assert small(min_base_rate=0.1) == "In train, g=2 has a base rate of 0 and needs 0.1."
    assert small(min_base_rate=0.5, positive=0).startswith("In train, g=1 has a base rate of 0.333333")
    assert small(min_base_rate=0.1, groups=[3]).endswith("g=3 is not there.")


def test_a_group_that_is_asked_for_and_not_there_fails() -> None:
    found = grouped([1.0, 2.0, None], [0, 1, 1], min_rows=1, groups=[1, 2, 3])

    assert (found.verdict, found.reason) == ("failed", "In train, g=3 is not there.")


def test_each_column_is_looked_at_by_itself() -> None:
    rows = pd.DataFrame({"g": ["a", "a"], "h": ["x", "y"], "left": [0, 1], "age": [1, 2]})
    candidate = contender(rows={"train": rows, "test": rows})

    found = representation(candidate, None, by=["g", "h"], min_rows=2, groups={"h": ["x"]})
    assert found.reason == "In train, h=x has 1 row and needs 2, h=y has 1 row and needs 2."
    assert set(found.details) == {"g", "h"}
    with pytest.raises(UsageError, match="groups must be a mapping"):
        representation(candidate, None, by=["g", "h"], min_rows=2, groups=["x"])
    with pytest.raises(UsageError, match="groups names the column 'i', which is not in by"):
        representation(candidate, None, by=["g", "h"], min_rows=2, groups={"i": ["x"]})


def test_groups_of_which_too_little_is_known_are_undecided() -> None:
    assert grouped(["f", "m"], [1, None], min_base_rate=0.1).verdict == "undecided"
    assert grouped(["f", "m"], [1, None], min_base_rate=0.1).reason.endswith(": no row of g=m has a target.")
    assert grouped([None, None], [1, 0], min_rows=1).reason == "Too little is known in train: it has no groups."


def test_what_representation_cannot_do_is_said() -> None:
    with pytest.raises(UsageError, match="needs by and one of"):
        representation(contender(), None, by="sex")
    with pytest.raises(UsageError, match="has no column 'sexx'"):
        representation(contender(), None, by="sexx", min_rows=1)
    with pytest.raises(UsageError, match="has 3 values: name the one that counts"):
        grouped(["f"] * 3, ["a", "b", "c"], min_base_rate=0.1)
    with pytest.raises(UsageError, match="positive is 'z', which is no value"):
        grouped(["f"] * 2, ["a", "b"], min_base_rate=0.1, positive="z")
    assert grouped(["f"] * 3, ["a", "b", "c"], min_base_rate=0.1, positive="a").verdict == "passed"


def test_data_with_an_allowed_licence_may_be_used() -> None:
    for licenses in (None, ["mit"]):
        found = data_allowed(contender(), None, licenses=licenses)
        assert (found.verdict, found.observed) == ("passed", "0 refused, 0 unknown")
    assert found.details["datasets"]["train.parquet"] == {"license": "MIT", "terms": "Cite it."}
    assert data_allowed(contender(rules=Rules(licenses=("MIT",))), None).verdict == "passed"


def test_another_licence_is_refused_with_its_name() -> None:
    found = data_allowed(contender(rules=Rules(licenses=("CC0-1.0",))), None)

    assert found.verdict == "failed"
    assert found.reason.startswith("the licence of train.parquet, MIT, is none of those that are allowed")
    assert data_allowed(contender(rules=Rules(licenses=("CC0-1.0",))), None, licenses=["MIT"]).verdict == "passed"


def test_terms_stand_in_for_a_licence() -> None:
    internal = DatasetCard(terms="Internal use")

    assert data_allowed(contender(card=internal), None, licenses=["internal use"]).verdict == "passed"
    assert data_allowed(contender(card=internal), None, licenses=["MIT"]).verdict == "failed"


@pytest.mark.parametrize(
    ("card", "said"),
    [(None, "train.parquet has no card"), (DatasetCard(origin="x"), "train.parquet has neither licence nor terms")],
)
def test_what_is_not_known_warns_or_is_undecided_in_a_strict_project(card: DatasetCard | None, said: str) -> None:
    lax, strict = data_allowed(contender(card=card), None), data_allowed(contender(card=card, rules=STRICT), None)

    assert (lax.verdict, strict.verdict) == ("passed", "undecided")
    assert lax.reason.startswith("Warning: ")
    assert said in lax.reason.replace("the card of ", "")
    assert said in strict.reason.replace("the card of ", "")


def test_data_from_nowhere_are_unknown() -> None:
    for candidate in (contender({"inputs": []}, rules=STRICT), contender(stage="prepare", card=None, rules=STRICT)):
        found = data_allowed(candidate, None)
        assert (found.verdict, found.reason) == ("undecided", "nothing is known of where the data come from.")


@pytest.mark.parametrize(
    ("card", "what"),
    [
        (DatasetCard(license="MIT", personal=("age", "height")), "personal"),
        (DatasetCard(license="MIT", personal=("age",), sensitive=("age",)), "sensitive"),
        (DatasetCard(license="MIT", subject="age"), "what identifies a person"),
    ],
)
def test_a_personal_feature_needs_a_reason(card: DatasetCard, what: str) -> None:
    found = data_allowed(contender(card=card), None)

    assert found.verdict == "failed"
    assert found.reason.startswith(
        f"the feature 'age' is {what} by the card of train.parquet: say why under `because:`, the feature 'age' is"
    )
    assert data_allowed(contender(card=card), None, because={"age": " "}).verdict == "failed"
    assert data_allowed(contender(card=card), None, because={"age": "The law asks for it."}).verdict == "passed"


def test_whether_personal_columns_are_features_is_unknown_without_a_signature() -> None:
    card = DatasetCard(license="MIT", personal=("age",))
    unsigned = {"model": {"signature": {"inputs": None}}}

    found = data_allowed(contender(unsigned, card=card, rules=STRICT), None)
    assert found.verdict == "undecided"
    assert "whether the personal columns of train.parquet are features" in found.reason
    assert data_allowed(contender(unsigned, rules=STRICT), None).verdict == "passed"
