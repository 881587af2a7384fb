"""A folder whose owner is gone is removed by the next; whose owner lives is not."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nbprod.lifecycle.scratch import PREFIX, remove_left, scratch

OWNER = """
import time
from nbprod.lifecycle.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_folder_is_empty_at_first_and_gone_at_the_end(place: Path) -> None:
    with scratch() as folder:
        assert folder.name.startswith(PREFIX)
        assert list(folder.iterdir()) == []
        (folder / "model").mkdir()
    assert list(place.iterdir()) == []


def test_a_folder_is_removed_when_its_owner_was_killed_and_not_before(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        theirs = Path(owner.stdout.readline().strip())
        (theirs / "model").write_text("bytes")
        assert remove_left() == []
        with scratch() as own:
            assert theirs.is_dir()
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            assert remove_left() == [theirs]
            assert list(place.iterdir()) == [own]


def test_what_only_has_such_a_name_is_left_alone(place: Path) -> None:
    (place / f"{PREFIX}file").write_text("mine")
    (place / "elsewhere").mkdir()
    (place / f"{PREFIX}link").symlink_to(place / "elsewhere")
    assert remove_left() == []
    assert (place / "elsewhere").is_dir()
