"""The guard: what is taken back after a promotion, and what is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbprod.retraining.guard import Live, judge
from nbprod.stats.intervals import wilson


def live(ref: str, right: int, rows: int) -> Live:
    return Live(ref=ref, metric="accuracy", value=right / rows, interval=wilson(right, rows), rows=rows)


def test_a_version_that_is_clearly_worse_is_taken_back() -> None:
    found = judge(live("churn/1", 900, 1000), live("churn/2", 800, 1000))
    assert found.act == "rollback"
    assert "accuracy is 0.8 on 1,000 live rows, and was 0.9 on 1,000 with churn/1" in found.reason


def test_a_difference_that_may_be_chance_is_kept() -> None:
    assert judge(live("churn/1", 900, 1000), live("churn/2", 885, 1000)).act == "keep"


def test_a_loss_that_one_look_in_twenty_would_show_by_chance_is_kept() -> None:
    assert judge(live("churn/1", 900, 1000), live("churn/2", 870, 1000)).act == "keep"
    assert judge(live("churn/1", 900, 1000), live("churn/2", 855, 1000)).act == "rollback"


def test_few_labels_wait() -> None:
    assert judge(live("churn/1", 900, 1000), live("churn/2", 10, 100)).act == "wait"
    assert judge(live("churn/1", 90, 100), live("churn/2", 10, 1000)).act == "wait"
    assert judge(None, live("churn/2", 10, 1000)).act == "wait"
    assert judge(live("churn/1", 900, 1000), None).act == "wait"


def test_of_an_error_less_is_better() -> None:
    old = Live(ref="a/1", metric="mae", value=1.0, interval=(0.9, 1.1), rows=500, better="lower")
    new = Live(ref="a/2", metric="mae", value=2.0, interval=(1.9, 2.1), rows=500, better="lower")
    assert judge(old, new).act == "rollback"
    assert judge(new, old).act == "keep"


@given(st.integers(200, 5000), st.integers(200, 5000), st.floats(0, 1), st.floats(0, 1))
def test_a_version_that_does_better_is_never_taken_back(old: int, new: int, share: float, more: float) -> None:
    before = int(old * share)
    after = min(new, -int(-new * (before / old + (1 - before / old) * more) // 1))
    assert judge(live("a/1", before, old), live("a/2", after, new)).act == "keep"


def test_what_is_missing_of_the_new_version_is_said_first() -> None:
    assert judge(None, live("churn/2", 10, 100)).reason.startswith("100 labels are known since the promotion")
