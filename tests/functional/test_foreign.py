"""Unmodified notebooks by other people, from installed distributions, as one-stage pipelines."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.functional.conftest import Make
from tests.functional.foreign import NOTEBOOKS, Foreign
from tests.functional.project import Project, printed, stages


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    return make_project("foreign")


def copied(foreign: Foreign, project: Project) -> Path:
    """The notebook beside no other file of its distribution."""
    return Path(shutil.copy(foreign.locate(), project.root))


@pytest.mark.slow
@pytest.mark.parametrize("foreign", [foreign for foreign in NOTEBOOKS if foreign.code == 0], ids=str)
def test_it_runs_as_it_is(project: Project, foreign: Foreign) -> None:
    notebook = copied(foreign, project)
    before = notebook.read_bytes()
    report = project.document("run", notebook.name)
    assert [status for _, status in stages(report).values()] == ["succeeded"]
    assert report["version"] is None
    executed = project.read(report["stages"][0]["executed"])
    assert foreign.says in printed(executed)
    run = next(run for run in project.document("runs") if run["id"] == report["run"])
    assert {metric["name"] for stage in run["stages"] for metric in stage["metrics"]} == set(foreign.metrics)
    assert notebook.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("foreign", [foreign for foreign in NOTEBOOKS if foreign.code != 0], ids=str)
def test_what_is_wrong_with_it_is_said(project: Project, foreign: Foreign) -> None:
    notebook = copied(foreign, project)
    done = project.nbprod("run", notebook.name, code=foreign.code)
    assert foreign.says in done.stderr
    assert "/nbprod/" not in done.stderr, "it shows nbprod's own code"
