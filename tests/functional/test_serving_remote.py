"""A service beside an MLflow server: it follows promotions, outlives outages, and never imports MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project, is_alive, wait_for
from tests.functional.servers import free_port, mlflow_server
from tests.functional.serving import Load, Running, serving, train_toy

pytestmark = pytest.mark.slow

WATCH = """
import os
import sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "mlflow":
            with open(os.environ["IMPORTED_BY"], "a") as file:
                file.write(f"{os.getpid()}\\n")

sys.meta_path.insert(0, Watch())
"""
"""Python imports it at its start; it writes down which processes import MLflow."""


class Server:
    """An MLflow server that can go away and come back at the same address."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment, self.port = folder, environment, free_port()
        self._stack = ExitStack()

    def start(self) -> str:
        """Its address, when it answers."""
        return self._stack.enter_context(mlflow_server(self.folder, self.environment, port=self.port))

    def stop(self) -> None:
        """Kill it."""
        self._stack.close()


@pytest.fixture(scope="module")
def server(make_project: Make, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It runs when the first test begins."""
    found = Server(tmp_path_factory.mktemp("mlflow"), make_project("unused").environment)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def project(make_project: Make, server: Server) -> Project:
    """Two versions on the server, the first of which is the champion."""
    made = make_project("remote")
    project = Project(made.root, {**made.environment, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}"})
    train_toy(project)
    project.document("promote", "toy/1", "--override", "gates", "--reason", "the first")
    return project


def versions(service: Running) -> set[str]:
    return {service.post()[1]["version"] for _ in range(20)}


def moved(project: Project, *arguments: str) -> Any:
    return project.document(*arguments, "--reason", "a test")


def test_promotions_on_a_server_are_followed_by_processes_that_know_no_mlflow(project: Project, tmp_path: Path) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    imported = tmp_path / "imported"
    variables = {"PYTHONPATH": str(tmp_path / "watch"), "IMPORTED_BY": str(imported)}
    with serving(project, tmp_path, "--workers", "2", ref="toy@champion", variables=variables) as service:
        own = psutil.Process(service.process.pid)
        answering = [own.pid, *(child.pid for child in own.children())]
        assert len(answering) == 3
        load = Load(service)
        try:
            assert versions(service) == {"1"}
            moved(project, "promote", "toy/2", "--override", "gates")
            wait_for("the second version from both workers", lambda: versions(service) == {"2"})
            moved(project, "rollback", "toy")
            wait_for("the first version again", lambda: versions(service) == {"1"})
        finally:
            load.stop()
        assert not load.failed
        assert load.versions == {"1", "2"}
        assert load.answered <= {row["request"] for row in service.logged()}
        knowing = set(map(int, imported.read_text().split()))
        assert knowing  # those beside the workers, which ask the registry
        assert not knowing & set(answering)
        family = service.family()
        assert service.stop() == 0
        wait_for("the end of all processes", lambda: not any(map(is_alive, family)))


def test_a_server_that_is_away_and_a_killed_process_beside_the_worker_stop_nothing_for_good(
    project: Project, server: Server, tmp_path: Path
) -> None:
    with serving(project, tmp_path, ref="toy@champion") as service:
        wait_for("the process that asks the registry", lambda: _beside(service))
        server.stop()
        wait_for("word of it", lambda: any("does not answer" in line for line in list(service.said)))
        assert service.post()[0] == 200
        server.start()
        (beside,) = _beside(service)
        beside.kill()
        moved(project, "promote", "toy/2", "--override", "gates")
        wait_for("the second version", lambda: versions(service) == {"2"})
        moved(project, "rollback", "toy")
        wait_for("the first version again", lambda: versions(service) == {"1"})
        assert service.stop() == 0


def _beside(service: Running) -> list[Any]:
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if child.is_running() and "nbprod.registry.worker" in child.cmdline()]


def test_an_alias_that_was_moved_on_the_server_by_hand_is_told_and_left(project: Project, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = project.environment["MLFLOW_TRACKING_URI"]
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    with serving(project, tmp_path, ref="toy@champion") as service:
        client.set_registered_model_alias("toy", "champion", "2")
        try:
            wait_for("word of it", lambda: any("moved it without nbprod" in line for line in list(service.said)))
            assert versions(service) == {"1"}
        finally:
            client.set_registered_model_alias("toy", "champion", "1")
        assert versions(service) == {"1"}
