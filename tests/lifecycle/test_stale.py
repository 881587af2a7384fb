"""Facts for deciding: what a version read from outside, where that is now, and what monitoring found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbprod.errors import ArtifactError
from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle.recipe import data_for, inputs_of, resolved
from nbprod.lifecycle.retrain import unfinished
from nbprod.lifecycle.stale import alarms_of
from nbprod.lifecycle.workspace import open_workspace
from nbprod.monitoring.facts import Check, MonitorReport
from nbprod.retraining.policy import RetrainPolicy

ENTRY: dict[str, Any] = {
    "run": {
        "stages": [
            {"name": "prepare", "inputs": {"raw": "a" * 64}, "outputs": {"rows": "b" * 64}},
            {"name": "train", "inputs": {"rows": "b" * 64, "parent": "c" * 64, "replay": "d" * 64}, "outputs": {}},
        ]
    },
    "inputs": [
        {"sha256": "a" * 64, "stage": None, "uri": "data/2026-01.csv"},
        {"sha256": "b" * 64, "stage": "prepare", "uri": "runs/1/prepare/rows.csv"},
        {"sha256": "d" * 64, "stage": None, "uri": ".nbprod/replay/x.parquet"},
    ],
    "pipeline": {"sections": {"update": {"stage": "train"}}},
}


def test_what_comes_from_outside_is_what_no_stage_made_and_no_update_gave() -> None:
    assert {name: item["uri"] for name, item in inputs_of(ENTRY).items()} == {"prepare.raw": "data/2026-01.csv"}


def test_of_files_that_fit_a_pattern_the_last_by_name_is_taken_and_no_card(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("2026-01.csv", "2026-02.csv", "2026-02.csv.card.yaml", "2025-12.csv"):
        (tmp_path / "data" / name).write_text("a\n")
    with open_workspace(tmp_path) as work:
        assert resolved(work, "data/20*.csv*") == "data/2026-02.csv"
        assert data_for(work, ENTRY, RetrainPolicy()) == {"prepare.raw": "data/2026-01.csv"}
        policy = RetrainPolicy(data={"prepare.raw": "data/*.csv"})
        assert data_for(work, ENTRY, policy) == {"prepare.raw": "data/2026-02.csv"}
        assert resolved(work, "https://example.org/x.csv") == "https://example.org/x.csv"
        with pytest.raises(ArtifactError, match="is a pattern that fits no file yet"):
            resolved(work, "data/2027-*.csv")
        with pytest.raises(ArtifactError, match="is not there: bring the new data"):
            resolved(work, "data/2027-01.csv")


def test_alarms_and_losses_that_labels_warn_of_are_told_and_no_warning_of_the_labels_themselves() -> None:
    def check(area: Any, status: Any, value: float | None = 0.5) -> Check:
        return Check(area=area, name="x", status=status, why="why.", value=value)

    checks = (
        check("drift", "WARN"), check("drift", "ALARM", None), check("performance", "WARN", None),
        check("performance", "WARN"), check("quality", "OK"),
    )  # fmt: skip
    report = MonitorReport(name="n", ref="n/1", digest="d", made="m", status="ALARM", source="log", checks=checks)
    assert [(item.area, item.status) for item in alarms_of(report)] == [("drift", "ALARM"), ("performance", "WARN")]
    assert alarms_of(None) == ()


def test_a_retraining_without_an_end_is_found() -> None:
    def lines(*actions: str) -> tuple[AuditLine, ...]:
        return tuple(
            AuditLine(seq=at, time="t", key="k", user="u", action=action, model="m", version="1")
            for at, action in enumerate(actions, 1)
        )

    assert unfinished(lines("promote", "retrain", "judge", "promote")) is None
    assert unfinished(lines("retrain", "retrain_failed")) is None
    assert unfinished(lines("promote")) is None
    lost = unfinished(lines("retrain", "judge", "retrain", "challenge"))
    assert lost is not None and lost.seq == 3
