"""What is refused before a run, and how little a run does when nothing changed."""

from __future__ import annotations

import pytest

from nbprod.errors import UsageError
from nbprod.lifecycle.plan import Request
from nbprod.lifecycle.report import RunOptions
from nbprod.lifecycle.run import run
from nbprod.pipeline.events import ignore
from tests.fakes import Lab


def test_a_stage_does_not_start_without_the_environment_variables_that_it_needs(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.root)
    monkeypatch.delenv("NBPROD_TEST_DSN", raising=False)
    lab.notebook("a", "x = 1")
    lab.pipeline("name: p\nstages:\n  a:\n    notebook: notebooks/a.ipynb\n    env: [NBPROD_TEST_DSN]\n")
    with pytest.raises(UsageError) as caught:
        run(Request(), RunOptions(), ignore)
    assert caught.value.message == (
        "stage 'a' needs the environment variable NBPROD_TEST_DSN, which is not set: export it first."
    )
    assert caught.value.stage == "a"
    assert not list(lab.root.glob("runs/*/run.json"))


def test_windows_is_told_plainly_that_notebooks_do_not_run_there(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbprod.lifecycle.run.os.name", "nt")
    with pytest.raises(UsageError, match="not supported on Windows: use WSL"):
        run(Request(), RunOptions(), ignore)
