"""What MLflow is told about a run that begins in a stage's kernel."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from nbprod.registry.context import StageContext, marker


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The environment of a stage's kernel; returns the stage's folder."""
    monkeypatch.setenv("NBPROD_RUN", "r1")
    monkeypatch.setenv("NBPROD_STAGE", "train")
    monkeypatch.setenv("NBPROD_STAGE_DIR", str(tmp_path / "train"))
    return tmp_path / "train"


def test_outside_a_stage_it_says_nothing() -> None:
    assert not StageContext().in_context()


def test_in_a_stage_every_run_gets_its_run_and_stage(stage: Path) -> None:
    assert StageContext().in_context()
    assert StageContext().tags() == {"nbprod.run": "r1", "nbprod.stage": "train"}


def test_the_attempt_is_told_when_there_is_one(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPROD_ATTEMPT", "2")

    assert StageContext().tags()["nbprod.attempt"] == "2"


def test_the_runner_learns_that_mlflow_was_used(stage: Path) -> None:
    StageContext().tags()

    assert marker(stage).is_file()
    assert marker(stage).name == "train.mlflow"


def test_a_marker_that_cannot_be_written_does_no_harm(monkeypatch: pytest.MonkeyPatch, stage: Path) -> None:
    monkeypatch.setenv("NBPROD_STAGE_DIR", str(stage / "nowhere" / "deep"))

    assert StageContext().tags()["nbprod.stage"] == "train"


def test_mlflow_finds_it_by_its_entry_point() -> None:
    (point,) = entry_points(group="mlflow.run_context_provider", name="nbprod")

    assert point.load() is StageContext


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ("mlflow", "pandas", "numpy", "yaml")
    code = f"import sys, nbprod.registry.context; print([m for m in {heavy} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
