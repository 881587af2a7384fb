"""A small world that is monitored: rows, their profile, and windows of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from nbprod.monitoring.judge import Subject
from nbprod.monitoring.performance import FAIR, Answers, labels, performance_of
from nbprod.monitoring.policy import MonitorPolicy, PerformancePolicy
from nbprod.monitoring.profile import Profile, reference_of
from nbprod.monitoring.windows import Gathered, Plan

COLUMNS = ("age", "income", "sex")
NOW = 1_780_000_000.0
DAY = 86400.0


def rows(count: int, *, seed: int = 0, shift: float = 0.0, flip: float = 0.0, **columns: Any) -> pa.Table:
    """Rows with what a good model answers to them.

    Args:
        shift: of income, in standard deviations.
        flip: the share of truths that are turned round: the world changed behind the same scores.
    """
    chance = np.random.default_rng(seed)
    age, sex = chance.integers(18, 90, count), chance.integers(1, 3, count)
    income = chance.normal(shift, 1.0, count)
    score = 1 / (1 + np.exp(-2 * income))
    truth = (chance.uniform(size=count) < score).astype(int)
    turned = chance.uniform(size=count) < flip
    made: dict[str, Any] = {
        "age": age, "income": income, "sex": sex, "prediction": (score > 0.5).astype(int), "score": score,
        "truth": np.where(turned, 1 - truth, truth),
    }  # fmt: skip
    return pa.table({name: value for name, value in {**made, **columns}.items() if value is not None})


def reference(count: int = 6000) -> Profile:
    """The profile of rows and answers, as it is registered."""
    table = rows(count, seed=99)
    made = reference_of([table], COLUMNS, dataset="train")
    own = reference_of([table], ["prediction", "score"], dataset="test")
    answers = Answers(
        task="binary",
        positive="1",
        prediction=labels(table["prediction"].to_pylist(), "binary"),
        truth=labels(table["truth"].to_pylist(), "binary"),
        score=table["score"].to_numpy(),
        groups={"sex": labels(table["sex"].to_pylist(), "classes")},
    )
    found = performance_of(answers, dataset="test", metrics=["roc_auc"], fair=FAIR["binary"], columns=["sex"])
    return replace(made, answers=own.columns, performance=found)


REFERENCE = reference()
POLICY = MonitorPolicy(performance=PerformancePolicy(floor={"roc_auc": 0.7}))


def plan(policy: MonitorPolicy = POLICY, known: Profile = REFERENCE) -> Plan:
    """How rows of this world become windows."""
    return Plan(reference=known, policy=policy, columns=COLUMNS, groups=("sex",), metrics=("roc_auc",))


def said(table: pa.Table) -> pa.Table:
    """Rows whose answers and truths cannot be taken for inputs."""
    names = ("prediction", "score", "truth")
    return table.rename_columns([f"answer.{name}" if name in names else name for name in table.column_names])


def gathered(table: pa.Table, *, number: int = 0, used: Plan | None = None) -> Gathered:
    """A window of one day."""
    start = NOW - (30 - number) * DAY
    made = Gathered(key=f"day {number}", label=f"day {number}", start=start, end=start + DAY, profile=Profile())
    made.add(said(table), used or plan())
    return made


def subject(policy: MonitorPolicy = POLICY, **fields: Any) -> Subject:
    """The version that is judged."""
    return Subject(reference=REFERENCE, policy=policy, created=NOW - 10 * DAY, main="roc_auc", **fields)
