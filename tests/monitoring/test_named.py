"""Names in a policy that fit nothing are told, since what they were meant for is not looked at."""

from __future__ import annotations

from dataclasses import replace

from nbprod.monitoring.judge import judged
from nbprod.monitoring.named import check_named
from nbprod.monitoring.policy import DriftPolicy, FairnessPolicy, MonitorPolicy, PerformancePolicy
from tests.monitoring.made import COLUMNS, NOW, POLICY, REFERENCE, subject


def test_a_name_that_fits_nothing_warns_and_says_what_is_near() -> None:
    policy = MonitorPolicy(
        drift=DriftPolicy(columns=("incom", "age"), tests={"x": "psi"}),
        performance=PerformancePolicy(metrics=("mae",), floor={"rmse": 1.0, "r2": 0.5}),
        fairness=FairnessPolicy(columns=("race",)),
    )
    checks = list(check_named(REFERENCE, policy, ("income", "age")))
    assert {check.status for check in checks} == {"WARN"}
    assert [check.why.partition(",")[0] for check in checks] == [
        "monitor.drift.columns names 'incom'",
        "monitor.drift.tests names 'x'",
        "monitor.performance.metrics names 'mae'",
        "monitor.performance.floor names 'rmse' (and 1 more)",
        "monitor.fairness.columns names 'race'",
    ]
    assert checks[0].why.endswith("so it is not looked at. Did you mean 'income'?")


def test_names_that_fit_are_not_told_nor_what_nobody_can_know() -> None:
    assert not list(check_named(REFERENCE, POLICY, COLUMNS))
    policy = MonitorPolicy(drift=DriftPolicy(columns=("x",)), fairness=FairnessPolicy(columns=("y",)))
    assert not list(check_named(replace(REFERENCE, performance=None), policy, ()))


def test_it_is_part_of_what_is_judged() -> None:
    policy = replace(POLICY, drift=replace(POLICY.drift, columns=("incom",)))
    (check,) = [
        check for check in judged(subject(policy, inputs=tuple(COLUMNS)), (), now=NOW)[1] if check.area == "drift"
    ]
    assert (check.status, check.name) == ("WARN", "columns of the policy")
