"""The gate against forgetting: the hold-outs of earlier versions, and slices of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbprod.entities import GateResult
from nbprod.errors import UsageError
from nbprod.gates.forgetting import forgetting
from nbprod.gates.spec import read_gates
from tests.gates.answering import Broken, Classifier, judged_rows, made
from tests.gates.made import MadeContender


def rows(share: float = 0.9, old: float = 0.9, count: int = 1000) -> pd.DataFrame:
    """Truth, what the candidate and the parent say, right so often; the first half is ``young``."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, count)
    drawn = random.random(count)
    said, before = (np.where(drawn < each, truth, 1 - truth) for each in (share, old))
    return judged_rows(truth, said, old=before, young=(np.arange(count) < count // 2).astype(int), score=0.5)


def family(table: pd.DataFrame, *, elder: pd.DataFrame | None = None, model: Any = None) -> MadeContender:
    """A candidate, its parent, and perhaps the parent's parent, each with a hold-out of its own."""
    candidate = made(model or Classifier(0, 1), rows(), version="3")
    candidate.parent = made(Classifier(0, 1, column="old"), table, version="2", entry={"owner": "parent"})
    if elder is not None:
        candidate.parent.parent = made(Classifier(0, 1, column="old"), elder, version="1", entry={"owner": "elder"})
    return candidate


def asked(candidate: MadeContender, **options: Any) -> GateResult:
    return forgetting(candidate, None, **{"metric": "accuracy", "resamples": 200, **options})


def test_a_version_without_a_parent_passes() -> None:
    assert asked(made(Classifier(0, 1), rows())).reason == "no parent"


def test_a_parent_that_is_lost_is_undecided() -> None:
    parent = {"parent": {"relation": "incremental", "digest": "0" * 64}}
    assert asked(made(Classifier(0, 1), rows(), entry=parent)).verdict == "undecided"


def test_what_is_kept_passes() -> None:
    found = asked(family(rows()))
    assert (found.verdict, found.observed) == ("passed", 0.0)
    assert found.reason.startswith("accuracy is kept on test of churn/2")


def test_what_is_forgotten_fails_and_is_named() -> None:
    found = asked(family(rows(share=0.7)))
    assert found.verdict == "failed"
    assert found.observed == pytest.approx(-0.2, abs=0.05)
    assert "accuracy is forgotten on test of churn/2" in found.reason


def test_a_loss_within_the_tolerance_passes() -> None:
    assert asked(family(rows(share=0.88)), tolerance=0.05).verdict == "passed"


def test_a_loss_that_may_be_larger_than_the_tolerance_is_undecided() -> None:
    assert asked(family(rows(share=0.87, count=200)), tolerance=0.03).verdict == "undecided"


def test_the_hold_outs_of_all_ancestors_count_as_far_back_as_is_asked() -> None:
    candidate = family(rows(), elder=rows(share=0.6))
    assert "test of churn/1" in asked(candidate).reason
    assert asked(candidate).verdict == "failed"
    assert asked(candidate, back=1).verdict == "passed"


def test_a_slice_that_is_forgotten_fails_though_the_whole_is_kept() -> None:
    table = rows()
    young = table["young"] == 1
    table.loc[young, "said"] = np.where(
        np.arange(young.sum()) % 5 == 0, 1 - table.loc[young, "left"], table.loc[young, "left"]
    )
    table.loc[~young, "said"] = table.loc[~young, "left"]
    assert asked(family(table), tolerance=0.05).verdict == "passed"
    found = asked(family(table), tolerance=0.05, slices=["young == 1"])
    assert found.verdict == "failed"
    assert "test of churn/2 where young == 1" in found.reason
    assert asked(family(table), tolerance=0.05, slices=["young == 1"], min_rows=600).verdict == "passed"


def test_a_hold_out_that_is_gone_is_undecided_and_a_model_that_fails_fails() -> None:
    candidate = family(rows())
    assert isinstance(candidate.parent, MadeContender)
    candidate.parent.lose("test")
    assert asked(candidate).verdict == "undecided"
    assert asked(family(rows(), model=Broken(0, 1))).verdict == "failed"


def test_options_are_checked_when_the_yaml_is_read() -> None:
    (spec,) = read_gates([{"forgetting": {"metric": "accuracy", "slices": ["young == 1"], "back": 2}}])
    assert spec.name == "forgetting"
    with pytest.raises(UsageError, match="Did you mean 'tolerance'"):
        read_gates([{"forgetting": {"metric": "accuracy", "tolerence": 0.1}}])
    with pytest.raises(UsageError, match="the gate forgetting needs a tolerance from 0"):
        asked(family(rows()), tolerance=-1.0)
