"""Where the lines of audit logs lie."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import AliasConflict
from nbprod.registry.auditing import append_local, append_remote, local_folder, log_folder, read_local, read_remote

RACE = """
import sys, time
from pathlib import Path
from nbprod.errors import AliasConflict
from nbprod.registry.auditing import append_local
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
try:
    append_local(Path(sys.argv[1], "log"), "churn", 1, sys.argv[2])
    print("won")
except AliasConflict:
    print("lost")
"""


class Server:
    """Artifacts behind a server: whatever is written last stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # The names are those of MLflow's artifact repositories.
    def list_artifacts(self, path: str) -> list[Any]:
        """What lies in a folder."""
        place = self.folder / path
        names = sorted(place.iterdir()) if place.is_dir() else []
        return [type("Info", (), {"path": f"{path}/{item.name}"}) for item in names]

    def log_artifact(self, file: str, path: str) -> None:
        """Put a file into a folder."""
        (self.folder / path).mkdir(parents=True, exist_ok=True)
        (self.folder / path / Path(file).name).write_bytes(Path(file).read_bytes())

    def download_artifacts(self, path: str, target: str) -> str:
        """Bring a file."""
        copy = Path(target) / Path(path).name
        copy.write_bytes((self.folder / path).read_bytes())
        return str(copy)


def test_of_several_processes_that_write_one_line_at_once_exactly_one_wins(tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), f"line {i}"], stdout=subprocess.PIPE, text=True)
        for i in range(6)
    ]
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=60)[0].strip() for process in started]
    assert sorted(said) == ["lost"] * 5 + ["won"]
    assert read_local(tmp_path / "log") == (f"line {said.index('won')}",)
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["00000001.json"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_folder_that_knows_no_hard_links_decides_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*names: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    append_local(tmp_path, "churn", 1, "mine")
    with pytest.raises(AliasConflict):
        append_local(tmp_path, "churn", 1, "other")
    assert read_local(tmp_path) == ("mine",)
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.json"]


def test_a_full_disk_is_an_error_and_no_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="No space left"):
        append_local(tmp_path, "churn", 1, "mine")
    assert list(tmp_path.iterdir()) == []


def test_behind_a_server_a_line_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    server = Server(tmp_path)
    append_remote(server, "churn", 1, "mine", pause=lambda: None)
    with pytest.raises(AliasConflict, match="wrote line 1 of its audit log"):
        append_remote(server, "churn", 1, "other", pause=lambda: None)
    assert read_remote(server, "churn") == ("mine",)


def test_behind_a_server_a_line_that_somebody_wrote_over_at_the_same_time_is_a_conflict(tmp_path: Path) -> None:
    server = Server(tmp_path)

    def meanwhile() -> None:
        (tmp_path / "churn" / "00000001.json").write_text("theirs")

    with pytest.raises(AliasConflict, match="nothing was moved"):
        append_remote(server, "churn", 1, "mine", pause=meanwhile)
    assert read_remote(server, "churn") == ("theirs",)


def test_files_that_are_no_lines_are_none(tmp_path: Path) -> None:
    append_local(tmp_path / "log", "churn", 1, "one")
    (tmp_path / "log" / ".part-x").write_text("half")
    (tmp_path / "log" / "notes.txt").write_text("notes")
    assert read_local(tmp_path / "log") == ("one",)


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("file:///a%20b/c", "/a b/c/churn"),
        ("/a/b", "/a/b/churn"),
        ("mlflow-artifacts:/7", None),
        ("s3://bucket/x", None),
    ],
)
def test_a_local_place_is_told_from_a_servers(location: str, folder: str | None) -> None:
    assert local_folder(location, "churn") == (None if folder is None else Path(folder))


@given(st.text(min_size=1))
def test_the_log_of_any_model_stays_within_its_own_folder(name: str) -> None:
    found = log_folder(name)
    assert "/" not in found
    assert found not in (".", "..")
    assert not found.startswith(".")
