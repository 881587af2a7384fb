"""The comparison with another version: on the same rows, with a paired bootstrap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.entities import GateResult
from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.comparison import not_worse_than
from tests.gates.answering import Broken, Classifier, Says, judged_rows, made
from tests.gates.made import MadeContender, metric

ROWS = 1000


def rows(*, good: float = 0.9, other: float = 0.8, count: int = ROWS) -> pd.DataFrame:
    """Binary truth, and two columns of answers that are right so often."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, count)
    said, old = (np.where(random.random(count) < share, truth, 1 - truth) for share in (good, other))
    score, old_score = (np.clip(answer * 0.6 + random.random(count) * 0.4, 0, 1) for answer in (said, old))
    return judged_rows(truth, said, old=old, score=score, old_score=old_score)


def pair(table: pd.DataFrame, **columns: str) -> tuple[MadeContender, MadeContender]:
    """A candidate that says the column ``said``, and a champion that says ``old``; both are asked about the same rows.

    The champion's own rows are others: only the candidate's may count.
    """
    candidate = made(Classifier(0, 1, column=columns.get("said", "said")), table, version="2")
    champion = Classifier(0, 1, column=columns.get("old", "old"), scores=["old_score"])
    return candidate, made(champion, table.assign(left=0).head(3), version="1", entry={"owner": "another"})


def compared(candidate: MadeContender, champion: MadeContender | None, **options: Any) -> GateResult:
    return not_worse_than(candidate, champion, **{"metric": "accuracy", "resamples": 200, **options})


def test_a_better_candidate_passes() -> None:
    found = compared(*pair(rows()))
    assert found.verdict == "passed"
    assert found.details["judged"] == "better"
    assert found.observed == pytest.approx(found.details["candidate"] - found.details["champion"])
    assert found.interval is not None and 0 < found.interval[0] < found.observed < found.interval[1]
    assert found.reason.startswith("accuracy is 0.9") and found.reason.endswith(": better.")
    assert "that of churn/1 0.8" in found.reason and "on the same 1,000 rows" in found.reason


def test_a_worse_candidate_fails() -> None:
    found = compared(*pair(rows(), said="old", old="said"))
    assert (found.verdict, found.details["judged"]) == ("failed", "worse")
    assert found.observed < 0


def test_within_the_tolerance_is_not_worse() -> None:
    found = compared(*pair(rows(), said="old", old="said"), tolerance=0.3)
    assert (found.verdict, found.details["judged"], found.required) == ("passed", "not worse", "at least -0.3")


def test_too_few_rows_are_undecided_and_say_what_helps() -> None:
    found = compared(*pair(rows(good=0.8, other=0.82, count=60)))
    assert found.verdict == "undecided"
    assert found.reason.endswith("judge it on more rows, or allow a larger tolerance.")


def test_where_less_is_better_the_sign_is_turned() -> None:
    found = compared(*pair(rows()), metric="log_loss")
    assert found.verdict == "passed"
    assert (
        found.observed == pytest.approx(found.details["champion"] - found.details["candidate"]) and found.observed > 0
    )


def test_regressions_are_compared_by_their_errors() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=300)
    table = judged_rows(truth, truth + random.normal(size=300) / 10, old=truth + random.normal(size=300))
    candidate, champion = made(Says(), table), made(Says("old"), table, entry={"owner": "another"})
    found = compared(candidate, champion, metric="rmse")
    assert found.details["judged"] == "better"
    assert compared(champion, candidate, metric="rmse").verdict == "failed"


def test_several_classes_are_compared_by_accuracy_and_by_log_loss_in_any_order() -> None:
    random = np.random.default_rng(0)
    truth = random.choice(["a", "b", "c"], 300)
    sure = {name: np.where(truth == name, 0.8, 0.1) for name in "abc"}
    table = judged_rows(truth, truth, old=np.roll(truth, 1), vague=np.full(300, 1 / 3), **sure)
    candidate = made(Classifier("a", "b", "c", scores=["a", "b", "c"]), table)
    mixed = made(Classifier("c", "a", "b", scores=["c", "a", "b"]), table, entry={"owner": "another"})
    vague = made(Classifier("a", "b", "c", column="old", scores=["vague"] * 3), table, entry={"owner": "a third"})
    assert compared(candidate, vague).details["judged"] == "better"
    assert compared(candidate, vague, metric="log_loss").details["judged"] == "better"
    same = compared(candidate, mixed, metric="log_loss")
    assert (same.verdict, same.observed, same.interval) == ("passed", 0, (0, 0))


def test_text_labels_are_compared() -> None:
    table = rows().replace({"left": {0: "no", 1: "yes"}, "said": {0: "no", 1: "yes"}, "old": {0: "no", 1: "yes"}})
    candidate = made(Classifier("no", "yes"), table)
    champion = made(Classifier("no", "yes", column="old"), table, entry={"owner": "another"})
    assert compared(candidate, champion, metric="recall").details["judged"] == "better"
    assert compared(candidate, champion, metric="recall", positive="no").details["judged"] == "better"


def test_without_a_champion_it_passes() -> None:
    found = compared(pair(rows(count=5))[0], None)
    assert (found.verdict, found.reason) == ("passed", "no champion")


def test_the_champion_itself_passes() -> None:
    candidate = pair(rows(count=5))[0]
    found = compared(candidate, candidate, alias="best")
    assert (found.verdict, found.reason) == ("passed", "churn/2 is the best itself.")


def test_a_measure_that_there_is_not_is_refused_even_without_a_champion() -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'roc_auc'\?"):
        compared(pair(rows(count=5))[0], None, metric="roc_ac")


@pytest.mark.parametrize(
    "options",
    [{"tolerance": -0.1}, {"tolerance": math.nan}, {"resamples": 0}, {"confidence": 1.0}, {"confidence": 95.0}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused_even_without_a_champion(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} of the gate not_worse_than must be"):
        compared(pair(rows(count=5))[0], None, **options)


def test_a_champion_that_takes_other_columns_is_undecided_and_names_them() -> None:
    table = rows(count=50)
    candidate = made(Classifier(0, 1), table.drop(columns=["old", "old_score"]))
    found = compared(candidate, pair(table)[1])
    assert found.verdict == "undecided"
    assert found.reason == (
        "the champion cannot be compared with: the rows lack columns that churn/1 takes: old, old_score."
    )


def test_a_champion_with_another_target_is_undecided() -> None:
    table = rows(count=50).assign(bought=1)
    champion = made(Classifier(0, 1), table, entry={"model": {"target": "bought"}})
    found = compared(made(Classifier(0, 1), table), champion)
    assert found.verdict == "undecided"
    assert "churn/1 predicts 'bought', and churn/1 predicts 'left'" in found.reason


def test_a_champion_with_other_classes_is_undecided() -> None:
    table = rows(count=50)
    champion = made(Classifier(0, 1, 2, column="old"), table, entry={"owner": "another"})
    found = compared(made(Classifier(0, 1), table, version="2"), champion)
    assert found.verdict == "undecided"
    assert "the classes of churn/1 are 0, 1, 2, and those of churn/2 0, 1" in found.reason


@pytest.mark.parametrize(
    ("model", "metric_name", "said"),
    [
        (Broken(0, 1, column="old"), "accuracy", "churn/1 fails on the rows of 'test' (ValueError: "),
        (Says("old"), "roc_auc", "churn/1 gives no probabilities"),
    ],
)
def test_a_champion_that_cannot_answer_is_undecided(model: Any, metric_name: str, said: str) -> None:
    table = rows(count=50)
    champion = made(model, table, entry={"owner": "another"})
    found = compared(made(Classifier(0, 1), table), champion, metric=metric_name)
    assert found.verdict == "undecided"
    assert said in found.reason


def test_a_candidate_that_cannot_answer_fails() -> None:
    candidate = made(Broken(0, 1), rows(count=50), version="2")
    found = compared(candidate, pair(rows(count=50))[1])
    assert (found.verdict, found.reason) == (
        "failed",
        "churn/2 fails on the rows of 'test' (ValueError: Input X contains NaN).",
    )


def test_a_candidate_whose_predictions_are_no_numbers_fails() -> None:
    table = judged_rows([1.0, 2.0], [1.0, math.nan], old=[1.0, 2.0])
    found = compared(made(Says(), table), made(Says("old"), table, entry={"owner": "another"}), metric="mae")
    assert found.verdict == "failed"
    assert "1 of 2 rows with what is not a number" in found.reason


def test_rows_whose_bytes_are_gone_are_the_callers_to_tell() -> None:
    candidate, champion = pair(rows(count=50))
    candidate.lose("test")
    with pytest.raises(ArtifactError, match="the dataset 'test'"):
        compared(candidate, champion)


def test_one_class_only_is_undecided_for_a_ranking_and_fine_for_accuracy() -> None:
    table = rows().assign(left=1)
    found = compared(*pair(table), metric="roc_auc")
    assert (found.verdict, found.interval) == ("undecided", None)
    assert found.reason == "roc_auc is not a number on these rows, as where they hold one class only."
    assert compared(*pair(table)).interval is not None


def test_constant_predictions_are_worse_than_good_ones() -> None:
    table = rows().assign(constant=1, score=0.5)
    assert compared(*pair(table, said="constant", old="said")).verdict == "failed"
    assert compared(*pair(table), metric="roc_auc").verdict == "failed"


def test_rows_without_a_label_are_left_out_and_told() -> None:
    table = rows()
    table["left"] = table["left"].where(table.index >= 10)
    found = compared(*pair(table))
    assert found.details["rows"] == ROWS - 10
    assert found.reason.endswith(": better; 10 rows without a label were left out.")


def test_no_labels_at_all_are_undecided() -> None:
    candidate, champion = pair(rows(count=5).assign(left=math.nan))
    assert compared(candidate, champion).verdict == "undecided"


def test_the_same_seed_gives_the_same_interval() -> None:
    candidate, champion = pair(rows())
    assert compared(candidate, champion) == compared(candidate, champion)
    assert compared(candidate, champion).interval != compared(candidate, champion, seed=1).interval


def repeated(table: pd.DataFrame, *values: float) -> MadeContender:
    """A candidate whose accuracy was also measured with other seeds."""
    one = made(Classifier(0, 1), table, version="2", entry={"metrics": [metric("accuracy", 0.9)]})
    one.entry["metrics"][0]["repeats"] = [str(value) if math.isnan(value) else value for value in values]
    return one


def test_the_spread_over_seeds_widens_the_interval_and_is_shown() -> None:
    candidate, champion = pair(rows())
    plain = compared(candidate, champion)
    seeds = compared(repeated(rows(), 0.88, 0.9, 0.92), champion)
    assert plain.interval and seeds.interval
    assert seeds.details["repeats"] == {
        "candidate": [0.88, 0.9, 0.92],
        "champion": [],
        "deviation": pytest.approx(0.02),
    }
    assert "repeats" not in plain.details
    half = 1.959964 * 0.02
    assert seeds.interval[0] == pytest.approx(
        plain.observed - math.hypot(plain.observed - plain.interval[0], half), abs=1e-6
    )
    assert seeds.interval[1] == pytest.approx(
        plain.observed + math.hypot(plain.interval[1] - plain.observed, half), abs=1e-6
    )


def test_a_spread_over_seeds_as_large_as_the_difference_decides_nothing() -> None:
    found = compared(repeated(rows(), 0.7, 0.9, 1.0), pair(rows())[1])
    assert found.verdict == "undecided"


@pytest.mark.parametrize("values", [(), (0.9,), (math.nan, 0.9)], ids=str)
def test_one_repeat_says_nothing_of_a_spread(values: tuple[float, ...]) -> None:
    table = rows(count=100)
    champion = pair(table)[1]
    assert compared(repeated(table, *values), champion).interval == compared(pair(table)[0], champion).interval


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_two_versions_cannot_both_be_better(answers: list[tuple[bool, bool, bool]]) -> None:
    truth, said, old = zip(*answers, strict=True)
    table = judged_rows(truth, said, old=old)
    one, other = (made(Classifier(False, True, column=name), table, entry={"owner": name}) for name in ("said", "old"))
    first, second = (compared(*both, resamples=60) for both in ((one, other), (other, one)))
    assert first.observed == pytest.approx(-second.observed)
    assert {first.details["judged"], second.details["judged"]} != {"better"}
    assert (first.details["judged"] == "better") == (second.details["judged"] == "worse")
