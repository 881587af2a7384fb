"""Where a run's files are."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from nbprod.config import Project, load_project
from nbprod.pipeline.folders import link_latest, lock_path, new_run_id, running_lock


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = load_project(tmp_path)
    made.prepare_folders()
    return made


def make_run(project: Project, run: str, *names: str) -> None:
    for name in names:
        (project.runs / run / name).mkdir(parents=True)


def links(project: Project) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in (project.runs / "latest").iterdir()}


def test_a_run_id_sorts_by_time_and_is_not_given_twice() -> None:
    found = [new_run_id() for _ in range(50)]
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", run) for run in found)
    assert [run[:15] for run in found] == sorted(run[:15] for run in found)
    assert len(set(found)) > 45, "of 65,536 in a second"


def test_latest_points_at_what_a_run_left(project: Project) -> None:
    make_run(project, "r1", "a", "a.ipynb")
    link_latest(project, "r1", "a")
    assert links(project) == {"a": "../r1/a", "a.ipynb": "../r1/a.ipynb"}


def test_latest_moves_on_with_the_next_run(project: Project) -> None:
    make_run(project, "r1", "a")
    make_run(project, "r2", "a")
    for run in ("r1", "r2", "r2"):
        link_latest(project, run, "a")
    assert links(project) == {"a": "../r2/a"}


def test_latest_never_points_at_nothing(project: Project) -> None:
    make_run(project, "r1", "a")
    link_latest(project, "r1", "a")
    link_latest(project, "r2", "a")
    assert links(project) == {"a": "../r1/a"}


def test_a_running_run_holds_its_lock_and_an_ended_one_leaves_none(project: Project) -> None:
    with running_lock(project, "r1"), pytest.raises(Timeout), FileLock(lock_path(project, "r1"), timeout=0):
        pass
    assert not lock_path(project, "r1").exists()


def test_the_lock_of_a_run_that_broke_off_can_be_taken(project: Project) -> None:
    with pytest.raises(KeyboardInterrupt), running_lock(project, "r1"):
        raise KeyboardInterrupt
    with FileLock(lock_path(project, "r1"), timeout=0) as lock:
        assert lock.is_locked
