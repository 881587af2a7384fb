"""Digests: what they equal, and when a remembered one may be used."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.digest import (
    canonical,
    identity,
    listing_digest,
    members,
    remembered_sha256,
    sha256_bytes,
    sha256_file,
    sha256_json,
    sha256_path,
    size_of,
)
from nbprod.errors import ArtifactError
from tests.fakes import FakeMemory

SHELL = r"(cd FOLDER; find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum) | sha256sum"
"""The line that `listing_digest` documents."""


def old(path: Path, *, seconds: float = 60.0) -> Path:
    """Make a file look as if it was last changed a while ago; its ctime cannot be set.

    So the clock is moved instead.
    """
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a minute later than files think."""
    now = time.time_ns
    monkeypatch.setattr("nbprod.digest.time.time_ns", lambda: now() + 60_000_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    for name in ("b.txt", "a/z.txt", "a-b.txt", "a/b/c.txt", "Z.txt"):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return made


def test_the_documented_shell_line_stands_in_the_documentation() -> None:
    assert SHELL in (listing_digest.__doc__ or "")


def test_a_folders_digest_is_what_the_documented_shell_line_prints(folder: Path) -> None:
    printed = subprocess.run(
        ["bash", "-c", SHELL.replace("FOLDER", str(folder))], capture_output=True, text=True, check=True
    )
    assert sha256_path(folder) == printed.stdout.split()[0]


def test_a_folders_members_are_sorted_by_their_whole_path(folder: Path) -> None:
    assert [name for name, _ in members(folder)] == ["Z.txt", "a-b.txt", "a/b/c.txt", "a/z.txt", "b.txt"]


def test_renaming_a_member_changes_a_folders_digest(folder: Path) -> None:
    before = sha256_path(folder)
    (folder / "b.txt").rename(folder / "c.txt")
    assert sha256_path(folder) != before


def test_times_and_modes_do_not_change_a_folders_digest(folder: Path) -> None:
    before = sha256_path(folder)
    old(folder / "b.txt").chmod(0o400)
    assert sha256_path(folder) == before


def test_a_linked_file_counts_as_its_content(folder: Path, tmp_path: Path) -> None:
    before = sha256_path(folder)
    (tmp_path / "b.txt").write_text("b.txt")
    (folder / "b.txt").unlink()
    (folder / "b.txt").symlink_to(tmp_path / "b.txt")
    assert sha256_path(folder) == before


def test_a_pipe_in_a_folder_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ArtifactError) as caught:
        sha256_path(folder)
    assert str(caught.value) == (
        f"{folder / 'pipe'}: is neither a file nor a folder, so it has no digest: take it away."
    )


def test_a_link_to_nothing_in_a_folder_is_refused(folder: Path) -> None:
    (folder / "gone").symlink_to(folder / "nothing")
    with pytest.raises(ArtifactError) as caught:
        sha256_path(folder)
    assert str(caught.value) == (
        f"{folder / 'gone'}: is neither a file nor a folder, so it has no digest: take it away."
    )


def test_the_size_of_a_folder_is_that_of_its_files(folder: Path) -> None:
    assert size_of(folder) == sum(len(name) for name, _ in members(folder))
    assert size_of(folder / "b.txt") == 5


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        sha256_file(tmp_path / "gone")
    assert str(caught.value) == f"{tmp_path / 'gone'}: cannot read it (No such file or directory)."


def test_a_file_larger_than_a_buffer_is_read_whole(tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "large").write_bytes(data)
    assert sha256_file(tmp_path / "large") == hashlib.sha256(data).hexdigest()


@pytest.mark.usefixtures("later")
def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path, memory = tmp_path / "data", FakeMemory()
    path.write_text("one")
    remembered_sha256(path, memory)
    memory[identity(path)] = "remembered"
    assert remembered_sha256(path, memory) == "remembered"


def test_a_file_of_the_last_two_seconds_is_neither_recalled_nor_remembered(tmp_path: Path) -> None:
    path, memory = tmp_path / "data", FakeMemory()
    path.write_text("one")
    assert remembered_sha256(path, memory) == sha256_bytes(b"one")
    assert memory == {}
    memory[identity(path)] = "stale"
    assert remembered_sha256(path, memory) == sha256_bytes(b"one")


def test_setting_back_the_time_of_a_change_does_not_hide_it(tmp_path: Path) -> None:
    path, memory = tmp_path / "data", FakeMemory()
    path.write_text("one")
    old(path)
    memory[identity(path)] = "stale"
    assert remembered_sha256(path, memory) == sha256_bytes(b"one"), "its ctime is young, though its mtime is not"


@pytest.mark.usefixtures("later")
def test_other_bytes_of_the_same_size_and_time_are_read(tmp_path: Path) -> None:
    path, memory = tmp_path / "data", FakeMemory()
    path.write_text("one")
    old(path)
    assert remembered_sha256(path, memory) == sha256_bytes(b"one")
    times = path.stat()
    time.sleep(0.02)
    path.write_text("two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert remembered_sha256(path, memory) == sha256_bytes(b"two")


@pytest.mark.usefixtures("later")
def test_a_file_that_took_the_place_of_another_is_read(tmp_path: Path) -> None:
    path, other, memory = tmp_path / "data", tmp_path / "other", FakeMemory()
    path.write_text("one")
    remembered_sha256(path, memory)
    other.write_text("two")
    os.replace(other, path)
    assert remembered_sha256(path, memory) == sha256_bytes(b"two")


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memory = tmp_path / "data", FakeMemory()
    path.write_text("one")

    def read_slowly(path: Path) -> str:
        path.write_text("three")
        return "of the old bytes"

    monkeypatch.setattr("nbprod.digest.sha256_file", read_slowly)
    remembered_sha256(path, memory)
    assert memory == {}


@pytest.mark.usefixtures("later")
def test_a_folder_is_remembered_member_by_member(folder: Path) -> None:
    memory = FakeMemory()
    assert sha256_path(folder, memory) == sha256_path(folder)
    assert sorted(memory.values()) == sorted(sha256_file(path) for _, path in members(folder))


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": 1, "a": [1.0, "é"]}) == '{"a":[1,"é"],"b":1}'.encode()
    assert sha256_json({"b": 1, "a": 2}) == sha256_json({"a": 2, "b": 1}) == sha256_bytes(b'{"a":2,"b":1}')


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=4).map(sha256_bytes), max_size=5))
def test_a_listings_digest_does_not_depend_on_its_order(listing: dict[str, str]) -> None:
    assert listing_digest(dict(reversed(listing.items()))) == listing_digest(listing)


def test_compiled_code_that_an_import_leaves_in_a_folder_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "features.py").write_text("x = 1")
    before = sha256_path(tmp_path)
    (tmp_path / "code" / "__pycache__").mkdir()
    (tmp_path / "code" / "__pycache__" / "features.cpython-311.pyc").write_bytes(b"compiled")
    assert sha256_path(tmp_path) == before
