"""The gates of code, data, approval, and of what must stay right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbprod.entities import Statement
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence import statements as written
from nbprod.gates import provenance
from nbprod.gates.contender import Rules
from nbprod.gates.provenance import approved, clean_source, inputs_unchanged, regression, reproduced
from nbprod.gates.spec import read_gates
from tests.gates.made import contender

STRICT = Rules(strict=True)


GOOD = [{"where": "age > 1", "metric": "accuracy", "at_least": 0.5}]


def test_their_options_are_read_from_yaml() -> None:
    section = [
        "clean_source",
        "inputs_unchanged",
        {"approved": {"count": 2, "not_author": False}},
        {"regression": {"rows": [{"input": {"age": 1}, "expect": 0}], "slices": GOOD}},
        {"regression": {"rows": "golden", "tolerance": 1}},
    ]
    assert len(read_gates(section)) == 5


def test_the_schemas_are_those_that_statements_are_written_with() -> None:
    ours = (provenance.APPROVAL, provenance.REGISTRATION, provenance.REPRODUCTION)
    assert ours == (written.APPROVAL, written.REGISTRATION, written.REPRODUCTION)


def test_a_commit_and_nothing_else_is_clean() -> None:
    found = clean_source(contender(), None)

    assert (found.verdict, found.reason) == ("passed", "Its code is the commit ffffffffffff.")
    assert found.details["commit"] == "f" * 40


def test_changes_beside_the_commit_fail() -> None:
    found = clean_source(contender({"source": {"git": {"dirty": True}}}), None)

    assert (found.verdict, found.observed) == ("failed", "ffffffffffff and more")
    assert found.reason == "Its code differed from the commit ffffffffffff: commit it, and run again."


def test_without_git_strict_projects_refuse_and_others_do_not_know() -> None:
    for rules, verdict in ((None, "undecided"), (STRICT, "failed")):
        found = clean_source(contender({"source": {"git": "unknown"}}, rules=rules), None)
        assert (found.verdict, found.reason) == (verdict, "Its code is in no commit.")


def test_git_that_was_asked_after_the_run_knows_nothing_of_the_run() -> None:
    assert clean_source(contender({"source": {"measured": "after_run"}}), None).verdict == "undecided"


def test_inputs_that_are_what_they_were_pass() -> None:
    found = inputs_unchanged(contender(), None)

    assert (found.verdict, found.observed, found.required) == ("passed", "2 of 2", "2 of 2")


def test_a_changed_input_fails_and_is_named() -> None:
    candidate = contender()
    candidate.change("train")
    candidate.lose("test")

    found = inputs_unchanged(candidate, None)
    assert (found.verdict, found.reason) == ("failed", "train.parquet has changed since it was read.")
    assert found.details == {"train.parquet": "changed", "test.parquet": "unreachable"}


def test_an_input_that_cannot_be_reached_is_undecided() -> None:
    candidate = contender()
    candidate.lose("test")

    found = inputs_unchanged(candidate, None)
    assert (found.verdict, found.observed) == ("undecided", "1 of 2")
    assert found.reason == "test.parquet cannot be read: nothing is at test.parquet any more."
    assert inputs_unchanged(contender({"inputs": []}), None).verdict == "undecided"


def said(schema: str, key: str, user: str, *, subject: str = "") -> Statement:
    """A statement of somebody's."""
    return Statement(schema=schema, subject=subject, body={"by": {"key": key, "user": user}, "reason": "I looked."})


def judged(*statements: Statement, **options: Any) -> Any:
    """What approved says of a version with these statements."""
    return approved(contender(statements=statements), None, **options)


AUTHOR = said(written.REGISTRATION, "k1", "ana")


def test_an_approval_by_another_passes() -> None:
    found = judged(AUTHOR, said(written.APPROVAL, "k2", "bob"))

    assert (found.verdict, found.observed, found.reason) == ("passed", 1, "bob approved of it.")
    assert found.details == {"by": [{"key": "k2", "user": "bob"}]}


def test_the_statement_that_approve_writes_is_understood() -> None:
    candidate = contender()
    made = written.approval(candidate.version.digest, key="k2", user="bob", reason="I looked.")

    assert approved(contender(statements=[AUTHOR, made]), None).verdict == "passed"


@pytest.mark.parametrize(
    "statement",
    [
        said(written.APPROVAL, "k1", "ana"),
        said(written.APPROVAL, "k2", "ana"),
        said(written.APPROVAL, "k1", "bob"),
        said(written.APPROVAL, "k2", "bob", subject="0" * 64),
        said(written.APPROVAL, "", "bob"),
        said(written.PROMOTION, "k2", "bob"),
        Statement(schema=written.APPROVAL, subject="", body={"by": "bob"}),
    ],
)
def test_approvals_that_do_not_count(statement: Statement) -> None:
    found = judged(AUTHOR, statement)

    assert (found.verdict, found.observed) == ("failed", 0)
    assert found.reason.startswith("0 of 1 people approved of it")
    assert found.reason.endswith(": run `nbprod approve churn/1 --reason`.")


def test_the_author_counts_where_the_pipeline_says_so() -> None:
    assert judged(AUTHOR, said(written.APPROVAL, "k1", "ana"), not_author=False).verdict == "passed"
    assert "besides who registered it (ana)" in judged(AUTHOR, said(written.APPROVAL, "k1", "ana")).reason


def test_a_key_counts_once() -> None:
    twice = [said(written.APPROVAL, "k2", "bob"), said(written.APPROVAL, "k2", "bob")]

    assert judged(AUTHOR, *twice, count=2).verdict == "failed"
    assert judged(AUTHOR, *twice, said(written.APPROVAL, "k3", "eve"), count=2).verdict == "passed"


def test_an_unknown_author_leaves_it_undecided() -> None:
    assert judged(said(written.APPROVAL, "k2", "bob")).verdict == "undecided"
    assert judged(said(written.APPROVAL, "k2", "bob"), not_author=False).verdict == "passed"
    assert judged().verdict == "failed"


def run_again(verdict: str, created: str = "2026-01-01") -> Statement:
    body = {"verdict": verdict, "reason": f"It was {verdict}.", "tolerance": 0.01}
    return Statement(schema=written.REPRODUCTION, subject=contender().version.digest, created=created, body=body)


@pytest.mark.parametrize(
    ("found", "wanted", "verdict"),
    [
        ("identical", "identical", "passed"),
        ("identical", "within tolerance", "passed"),
        ("within tolerance", "within tolerance", "passed"),
        ("within tolerance", "identical", "failed"),
        ("different", "within tolerance", "failed"),
        ("cannot", "within tolerance", "undecided"),
    ],
)
def test_a_recipe_that_was_run_again_is_judged_by_what_came_out(found: str, wanted: str, verdict: str) -> None:
    result = reproduced(contender(statements=[run_again(found)]), None, verdict=wanted)
    assert (result.verdict, result.observed, result.reason) == (verdict, found, f"It was {found}.")


def test_the_newest_time_counts_and_never_is_undecided() -> None:
    both = [run_again("different", "2026-01-02"), run_again("identical", "2026-01-01")]
    assert reproduced(contender(statements=both), None).verdict == "failed"
    never = reproduced(contender(), None)
    assert (never.verdict, "nbprod reproduce" in never.reason) == ("undecided", True)
    other = Statement(schema=written.REPRODUCTION, subject="0" * 64, body={"verdict": "identical"})
    assert reproduced(contender(statements=[other]), None).verdict == "undecided"
    with pytest.raises(UsageError, match="must be one of: identical, within tolerance"):
        reproduced(contender(), None, verdict="different")


def test_no_approval_at_all_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError, match="count of the gate approved must be at least 1"):
        judged(count=0)


class Old:
    """Says 1 of everybody above an age, with a probability."""

    classes_ = (0, 1)

    def __init__(self, age: float = 38) -> None:
        self.age = age

    def predict(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """A class for each row."""
        return (rows["age"].to_numpy() > self.age).astype(int)

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """The probability of each class."""
        share = rows["age"].to_numpy() / 100
        return np.column_stack([1 - share, share])


class Half:
    """A regression."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """A number for each row."""
        return rows["age"].to_numpy() / 2


class Broken:
    """A model that raises, or answers nonsense."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def predict(self, rows: pd.DataFrame) -> Any:
        """What it was made with."""
        if self.answer is None:
            raise ValueError("unknown category")
        return np.array(self.answer)


PEOPLE = pd.DataFrame({"age": [20, 30, 40, 50], "left": [0, 1, 1, 1]})


def regressed(model: Any, table: pd.DataFrame = PEOPLE, **options: Any) -> Any:
    """What regression says of a model."""
    return regression(contender(rows={"train": table, "test": table}, model=model), None, **options)


def test_rows_that_are_answered_right_pass() -> None:
    found = regressed(Old(), rows=[{"input": {"age": 20}, "expect": 0}, {"input": {"age": 90}, "expect": 1}])
    assert (found.verdict, found.observed, found.required) == ("passed", 2, 2)

    found = regressed(Half(), rows=[{"input": {"age": 21}, "expect": 10, "tolerance": 0.5}])
    assert (found.verdict, found.reason) == ("passed", "all 1 of the rows are answered right.")
    assert regressed(Half(), rows=[{"input": {"age": 21}, "expect": 10}], tolerance=0.5).verdict == "passed"


def test_rows_that_are_answered_wrong_fail_and_are_numbered() -> None:
    rows = [{"input": {"age": age}, "expect": 1} for age in (20, 40, 30)]

    found = regressed(Old(), rows=rows)
    assert (found.verdict, found.observed, found.required) == ("failed", 1, 3)
    assert found.reason == "2 of 3 of the rows are answered wrong (row 1, row 3)."
    assert regressed(Half(), rows=[{"input": {"age": 21}, "expect": 10}]).verdict == "failed"
    assert regressed(Half(), rows=[{"input": {"age": np.nan}, "expect": 10}], tolerance=99.0).verdict == "failed"


@pytest.mark.parametrize("text", ["golden", "golden.parquet"])
def test_rows_may_be_a_dataset_of_the_entry(text: str) -> None:
    golden = pd.DataFrame({"age": [20, None, 30, 50], "left": [0, None, 1, 1]})
    candidate = contender(rows={"golden": golden, "test": PEOPLE}, model=Old())

    found = regression(candidate, None, rows=text)
    assert (found.verdict, found.observed, found.required) == ("failed", 2, 3)
    assert found.reason == "1 of 3 of the rows of golden are answered wrong (row 3)."


def test_a_dataset_that_says_nothing_is_undecided_and_one_that_is_none_refused() -> None:
    unlabelled = pd.DataFrame({"age": [1, 2], "left": [None, None]})

    found = regressed(Old(), unlabelled, rows="test")
    assert (found.verdict, found.reason) == ("undecided", "no row of test has a target.")
    with pytest.raises(UsageError, match=r"has no dataset 'golden\.csv': name it under `model\.data`"):
        regressed(Old(), rows="golden.csv")


@pytest.mark.parametrize("model", [Broken(), Broken([1, 2, 3]), Broken([[1, 2]])])
def test_a_model_that_gives_no_answer_fails(model: Broken) -> None:
    found = regressed(model, rows=[{"input": {"age": 20}, "expect": [1, 1]}, {"input": {"age": 21}, "expect": 0}])

    assert found.verdict == "failed"
    assert found.reason.startswith("churn/1 ")


def test_rows_that_the_model_cannot_take_are_undecided_by_the_caller() -> None:
    with pytest.raises(ArtifactError, match="the rows lack columns that churn/1 takes: age"):
        regressed(Old(), rows=[{"input": {"height": 1}, "expect": 0}])


def test_slices_keep_their_bounds() -> None:
    slices = [
        {"where": "age >= 40", "metric": "accuracy", "at_least": 1},
        {"where": "age < 40", "metric": "false_negative_rate", "at_most": 1.0},
        {"where": "age in [20, 40, 50]", "metric": "roc_auc", "at_least": 0.9},
    ]
    found = regressed(Old(), slices=slices, min_rows=1)

    assert (found.verdict, found.observed, found.required) == ("passed", "3 of 3", "3 of 3")
    assert [check["observed"] for check in found.details["checks"]] == [1, 1, 1]


def test_a_slice_below_its_bound_fails_with_its_value_and_interval() -> None:
    found = regressed(Old(), slices=[{"where": "age < 40", "metric": "accuracy", "at_least": 0.9}], min_rows=2)

    assert (found.verdict, found.observed, found.required) == ("failed", 0.5, "at least 0.9")
    assert found.reason == "accuracy where age < 40 is 0.5, and must be at least 0.9."
    assert found.interval[0] < 0.5 < found.interval[1]


def test_a_slice_of_values_is_measured_in_their_unit() -> None:
    table = pd.DataFrame({"age": [20.0, 30.0], "left": [10.0, 16.0]})

    found = regressed(Half(), table, slices=[{"where": "age == 30", "metric": "mae", "at_most": 0.5}], min_rows=1)
    assert (found.verdict, found.observed) == ("failed", 1.0)


def test_a_slice_of_too_few_rows_or_without_a_value_is_undecided() -> None:
    few = regressed(Old(), slices=[{"where": "age == 20", "metric": "accuracy", "at_least": 0.9}])
    assert (few.verdict, few.reason) == ("undecided", "test has 1 rows where age == 20, fewer than 50.")

    none = regressed(Old(), slices=[{"where": "age == 99", "metric": "accuracy", "at_least": 0.9}], min_rows=0)
    assert none.verdict == "undecided"
    nan = regressed(Old(), slices=[{"where": "age == 20", "metric": "recall", "at_least": 0.9}], min_rows=1)
    assert (nan.verdict, nan.reason) == ("undecided", "recall where age == 20 has no value.")


def test_the_worst_of_rows_and_slices_decides() -> None:
    slices = [{"where": "age == 20", "metric": "accuracy", "at_least": 0.9}]
    right, wrong = ([{"input": {"age": 20}, "expect": expect}] for expect in (0, 1))

    assert regressed(Old(), rows=right, slices=slices).verdict == "undecided"
    found = regressed(Old(), rows=wrong, slices=slices)
    assert (found.verdict, found.observed) == ("failed", "0 of 2")
    assert found.reason == "1 of 1 of the rows are answered wrong (row 1)."


def test_a_model_that_raises_in_a_slice_fails() -> None:
    table = PEOPLE.assign(left=PEOPLE["left"].astype(float))

    found = regressed(Broken(), table, slices=[{"where": "age > 1", "metric": "accuracy", "at_least": 0}], min_rows=1)
    assert found.verdict == "failed"
    assert "unknown category" in found.reason


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs rows or slices"),
        ({"rows": [3]}, "row 1 of regression must be a mapping with input, expect."),
        ({"rows": [{"inputs": {}}]}, "row 1 of regression has an unknown key 'inputs'. Did you mean 'input'?"),
        ({"rows": [{"input": {"age": 1}}]}, "row 1 of regression needs expect."),
        ({"rows": [{"input": [1], "expect": 1}]}, "input of row 1 of regression must be a mapping"),
        ({"rows": [{"input": {"age": 1}, "expect": 1, "tolerance": -1}]}, "tolerance of row 1 of regression must be"),
        (
            {"rows": [{"input": {"age": 1}, "expect": 1}, {"input": {"ages": 1}, "expect": 1}]},
            "row 2 of regression has other columns than row 1: age, ages.",
        ),
        ({"slices": [{"where": "age > 1"}]}, "slice 1 of regression needs metric."),
        ({"slices": [{"where": "age > 1", "metric": "accuracy"}]}, "must have either at_least or at_most"),
        ({"slices": [{"where": "a > 1", "metric": "accuracy", "at_least": "x"}]}, "must have either at_least"),
        ({"slices": [{"where": "a >", "metric": "accuracy", "at_least": 1}]}, "`a >` names no rows"),
        ({"slices": [{"where": "a > 1", "metric": "acuracy", "at_least": 1}]}, "Did you mean 'accuracy'?"),
        ({"slices": [{"where": "a > 1", "metric": "accuracy", "at_least": 1}]}, "there is no column 'a'"),
    ],
)
def test_what_regression_cannot_do_is_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        regressed(Old(), **options)
    assert said in caught.value.message
