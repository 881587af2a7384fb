"""Where the bytes of a version come from when they are read beside the registry."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbprod.digest import sha256_file
from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError
from nbprod.lifecycle.sources import copied

DATABASE = """
create table model_versions (name text, version text, source text, storage_location text);
"""


@pytest.fixture
def registered(tmp_path: Path) -> tuple[Path, Any, ModelVersion]:
    """A folder with a model in a local registry, the project's view of it, and the version that it is."""
    folder = tmp_path / "artifacts" / "m"
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.executescript(DATABASE)
        database.execute("insert into model_versions values ('line', '1', ?, null)", (str(folder),))
    database.close()
    project = SimpleNamespace(registry_uri=lambda: f"sqlite:///{path}")
    entry = {"model": {"files": {"MLmodel": sha256_file(folder / "MLmodel")}}}
    return folder, SimpleNamespace(project=project), ModelVersion(name="line", version="1", digest="", entry=entry)


def test_a_model_in_a_local_registry_is_copied_from_there(registered: Any, tmp_path: Path) -> None:
    folder, work, version = registered
    found = copied(version, work, tmp_path)
    assert found != folder
    assert (found / "MLmodel").read_bytes() == (folder / "MLmodel").read_bytes()


def test_a_model_that_was_changed_in_a_local_registry_is_not_loaded(registered: Any, tmp_path: Path) -> None:
    folder, work, version = registered
    (folder / "MLmodel").write_text("flavors: {evil: {}}")
    with pytest.raises(ArtifactError, match=r"line/1 is not what was registered: its file MLmodel was changed"):
        copied(version, work, tmp_path)
