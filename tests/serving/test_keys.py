"""Keys of callers are hashed in their file, and followed when it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.errors import UsageError
from nbprod.serving.keys import ApiKeys
from nbprod.trust.callers import add_key


def test_the_file_holds_hashes_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    first, second = add_key(file, "ana"), add_key(file, "bo")
    text = file.read_text()
    assert first not in text and second not in text
    assert file.stat().st_mode & 0o777 == 0o600
    keys = ApiKeys(file)
    assert (keys.name_of(first), keys.name_of(second), keys.name_of(first[:-1])) == ("ana", "bo", None)


def test_a_key_whose_line_is_deleted_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    first = add_key(file, "ana")
    keys = ApiKeys(file)
    second = add_key(file, "bo")
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("ana")))
    assert (keys.name_of(first), keys.name_of(second)) == (None, "bo")


def test_a_file_that_is_missing_is_told_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nokeys.txt: there is no such file of API keys: make it with") as caught:
        ApiKeys(tmp_path / "nokeys.txt")
    assert "Errno" not in str(caught.value)
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory\): name another"):
        ApiKeys(tmp_path)


def test_a_file_that_becomes_unreadable_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    key = add_key(file, "ana")
    keys = ApiKeys(file)
    file.write_text("ana secret-in-plain-text\n")
    assert keys.name_of(key) == "ana"


@pytest.mark.parametrize("text", ["ana secret\n", "ana sha256:123\n", "# only a comment\n"])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(text)
    with pytest.raises(UsageError):
        ApiKeys(file)
