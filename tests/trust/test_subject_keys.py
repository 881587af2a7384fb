"""The secret that tokens of data subjects are made with."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from nbprod.errors import UsageError
from nbprod.trust.subject_keys import OWN, SCHEMA, SubjectKeys


def test_the_own_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    keys = SubjectKeys(tmp_path / "keys")
    assert (keys.has_own, keys.all()) == (False, ())
    first = keys.own()
    assert keys.own() == first
    assert (tmp_path / "keys" / OWN).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [OWN]


def test_a_key_of_this_version_is_read_back_and_its_tokens_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / OWN).write_text(f"{SCHEMA} {'07' * 32}\n")
    key = SubjectKeys(tmp_path).own()
    assert key.id == hashlib.sha256(b"nbprod/subject-key/1\0" + b"\7" * 32).hexdigest()[:16]
    assert key.token("42") == hmac.new(b"\7" * 32, b"42", "sha256").digest()[:16]


def test_the_secret_is_not_shown_where_a_key_is_printed(tmp_path: Path) -> None:
    key = SubjectKeys(tmp_path).own()
    assert repr(key) == f"SubjectKey(id='{key.id}')"


def test_a_colleagues_key_is_looked_up_with_but_not_made_tokens_with(tmp_path: Path) -> None:
    theirs = SubjectKeys(tmp_path / "theirs").own()
    mine = SubjectKeys(tmp_path / "mine")
    own = mine.own()
    (mine.folder / f"subjects-{theirs.id}.key").write_bytes((tmp_path / "theirs" / OWN).read_bytes())
    assert mine.all() == (own, theirs)
    assert mine.find(theirs.id) == theirs
    assert mine.own() == own


@pytest.mark.parametrize("text", ["", "nbprod/subject-key/2 " + "07" * 32, f"{SCHEMA} 07", f"{SCHEMA} no hex", "\xff"])
def test_a_file_that_is_no_key_is_refused_and_never_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / OWN).write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is no key for subjects that this nbprod can read: bring it back from a copy"):
        SubjectKeys(tmp_path).own()
    assert (tmp_path / OWN).read_bytes() == text.encode("latin-1")
