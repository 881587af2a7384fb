"""The file of API keys: names, hashes and modes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.errors import UsageError
from nbprod.trust.callers import add_key, read_keys


def test_names_are_given_once(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    add_key(file, "ana")
    for name in ("ana", "a b", ""):
        with pytest.raises(UsageError):
            add_key(file, name)
    with pytest.raises(UsageError):
        read_keys(tmp_path / "missing.txt")


def test_a_file_that_others_may_read_stays_so_when_a_key_is_added(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    add_key(file, "ana")
    file.chmod(0o644)
    add_key(file, "bo")
    assert file.stat().st_mode & 0o777 == 0o644
