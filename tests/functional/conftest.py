"""What all functional tests share: projects whose registries are copies of one prepared database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.project import Project, clean_environment

Make = Callable[[str], Project]


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory, prepared_registry_cache: Path) -> Make:
    """Make an empty project of a name."""
    environment = clean_environment(prepared_registry_cache)

    def make(name: str) -> Project:
        return Project(tmp_path_factory.mktemp(name), environment)

    return make


@pytest.fixture(scope="session")
def beside_tests() -> Path:
    """The folder of the projects and notebooks that are kept for tests."""
    return Path(__file__).parents[1]
