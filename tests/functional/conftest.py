"""What all functional tests share: caches of their own, so that MLflow's tables are made once and then copied."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.project import Project, clean_environment

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before anything imports MLflow here

Make = Callable[[str], Project]


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make an empty project of a name; processes that run tests side by side share the caches."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    environment = clean_environment(shared / "cache")

    def make(name: str) -> Project:
        return Project(tmp_path_factory.mktemp(name), environment)

    return make


@pytest.fixture(scope="module")
def projects_in_repository() -> Path:
    """The projects and notebooks that are kept beside the tests."""
    return Path(__file__).parents[1]
