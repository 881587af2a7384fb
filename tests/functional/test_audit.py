"""Aliases, statements and the audit log on a real MLflow server, and on one database that two projects share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nbprod.entities import Statement
from nbprod.errors import AliasConflict, RegistryError
from nbprod.registry import head_of
from nbprod.registry.database import local_aliases, local_head, local_lines
from nbprod.registry.process import RegistryProcess
from tests.functional.project import wait_for
from tests.functional.test_mlflow_server import server as server
from tests.registry.made import GIT, a_run, model_folder, registration, train_stage

pytestmark = pytest.mark.slow

SAID = Statement(schema="nbprod/approval/1", subject="d" * 64, created="2026-01-02T00:00:00.000+00:00", body={})
NAMES = ("churn.v2", "größe")

RACE = """
import sys, time
from pathlib import Path
from nbprod.errors import AliasConflict
from nbprod.registry.process import RegistryProcess
uri, folder, line = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
with RegistryProcess(uri, folder / "artifacts", log=folder / "mlflow.log") as registry:
    registry.ready()
    (folder / "ready").touch()
    while not (folder.parent / "go").exists():
        time.sleep(0.001)
    try:
        registry.append("churn", 1, line)
        print("won")
    except AliasConflict:
        print("lost")
"""


@pytest.fixture
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RegistryProcess, RegistryProcess]]:
    """Two who use one server, and share nothing else."""
    address = request.getfixturevalue("server")
    with ExitStack() as stack:
        mine, theirs = (
            stack.enter_context(RegistryProcess(address, tmp_path / name, log=tmp_path / f"{name}.log"))
            for name in ("mine", "theirs")
        )
        yield mine, theirs


def register(registry: RegistryProcess, folder: Path, *names: str) -> None:
    """A version of each model."""
    tracking = registry.record(a_run(train_stage(folder)), str(folder), GIT)
    for number, name in enumerate(names):
        made = model_folder(folder / str(number), name)
        registry.register(registration(made, tracking, name=name, digest=str(number) * 64))


def test_a_team_shares_one_log_on_a_server(two: tuple[RegistryProcess, RegistryProcess], tmp_path: Path) -> None:
    mine, theirs = two
    register(mine, tmp_path, *NAMES)
    for name in NAMES:
        assert (theirs.lines(name), theirs.head(name)) == ((), "")
        mine.append(name, 1, f'{{"one": "{name}"}}')
        with pytest.raises(AliasConflict, match="wrote line 1 of its audit log"):
            theirs.append(name, 1, '{"other": 1}')
        theirs.append(name, 2, '{"two": "ü"}')
        assert mine.lines(name) == theirs.lines(name) == (f'{{"one": "{name}"}}', '{"two": "ü"}')
        assert mine.head(name) == head_of(2, '{"two": "ü"}')
        mine.point(name, "champion", "1")
        assert [version.aliases for version in theirs.versions(name)] == [("champion",)]
        theirs.point(name, "champion", "")
        assert [version.aliases for version in mine.versions(name)] == [()]
        mine.attach(name, "1", SAID)
        assert theirs.statements(name, "1") == (SAID,)
    with pytest.raises(RegistryError, match="cannot move the alias 'champion'"):
        mine.point("churn.v2", "champion", "9")


def test_of_two_projects_that_share_one_database_exactly_one_writes_a_line(
    registry_cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "shared.db"
    uri = f"sqlite:///{path}"
    with RegistryProcess(uri, tmp_path / "first" / "artifacts", log=tmp_path / "first.log") as registry:
        register(registry, tmp_path, "churn")
        registry.point("churn", "champion", "1")
    started = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", RACE, uri, str(tmp_path / name), f"line of {name}"]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    wait_for("both to be ready", lambda: all((tmp_path / name / "ready").exists() for name in ("one", "two")))
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0].strip() for process in started]

    assert sorted(said) == ["lost", "won"]
    line = f"line of {('one', 'two')[said.index('won')]}"
    assert local_lines(path, "churn") == (line,)
    assert local_head(path, "churn") == head_of(1, line)
    assert local_aliases(path) == {"churn": {"champion": "1"}}
