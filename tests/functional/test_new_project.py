"""What `nbprod init` makes is green: its first run, and the next command that each verb prints."""

from __future__ import annotations

import shlex

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project

pytestmark = pytest.mark.slow


def test_every_verb_prints_the_command_that_leads_to_the_entry(make_project: Make) -> None:
    above = make_project("above")
    done = above.nbprod("init", "demo")
    project = Project(above.root / "demo", above.environment)
    seen = [next_command(done.stderr, "init")]
    for verb in ("check", "plan", "run", "show"):
        done = project.nbprod(verb, *([] if verb != "show" else seen[-1][2:]))
        seen.append(next_command(done.stderr, verb))
    assert seen[-2][:2] == ["nbprod", "show"]
    assert seen[-1][:4] == ["MLFLOW_TRACKING_URI=sqlite:///.nbprod/mlflow.db", "mlflow", "models", "predict"]
    assert "Metrics" in done.stdout
    assert "no card" not in done.stdout
    assert "nothing wrong" in project.nbprod("check").stdout
    assert "warning" not in project.nbprod("check").stdout


def next_command(text: str, verb: str) -> list[str]:
    """The command after ``next:``."""
    found = [line for line in text.splitlines() if line.startswith("next: ")]
    assert found, f"{verb} says no next command"
    return shlex.split(found[-1].removeprefix("next: "), comments=True)


def test_a_project_is_not_written_over(make_project: Make) -> None:
    project = make_project("taken")
    project.write("demo/README.md", "mine")
    done = project.nbprod("init", "demo", code=2)
    assert "README.md" in done.stderr
    assert project.files("demo") == {"demo/README.md": b"mine"}
