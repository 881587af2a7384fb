"""The keys that a person signs with and trusts."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from nbprod.errors import UsageError
from nbprod.trust.keys import KNOWN, OWN, Keys, default_folder, verify


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "mine")


def test_the_first_time_a_key_is_made_and_pinned(keys: Keys) -> None:
    before = keys.has_own
    own = keys.own()
    assert (before, keys.has_own) == (False, True)
    assert [(key.id, key.status, key.comment) for key in keys.all()] == [(own.id, "pinned", "own")]
    assert Keys(keys.folder).own().id == own.id


def test_nobody_else_may_read_them(keys: Keys) -> None:
    keys.own()
    assert stat.S_IMODE((keys.folder / OWN).stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700
    assert {path.name for path in keys.folder.iterdir()} == {OWN, KNOWN, f".{KNOWN}.lock"}


def test_a_key_signs_what_only_its_public_half_accepts(keys: Keys, tmp_path: Path) -> None:
    own, other = keys.own(), Keys(tmp_path / "other").own()
    known = keys.find(own.id)
    assert known is not None
    signature = own.sign(b"text")
    assert verify(known, b"text", signature)
    assert not verify(known, b"texts", signature)
    assert not verify(known, b"text", other.sign(b"text"))
    assert not verify(known, b"text", b"nonsense")


def test_the_key_of_somebody_else_is_trusted_once_it_is_pinned(keys: Keys, tmp_path: Path) -> None:
    other = Keys(tmp_path / "other").own()
    assert keys.find(other.id) is None
    keys.pin(other.public_pem, comment="Ana's")
    found = keys.find(other.id)
    assert found is not None
    assert (found.status, found.comment) == ("pinned", "Ana's")


def test_a_revoked_key_stays_revoked(keys: Keys) -> None:
    own = keys.own()
    assert keys.revoke(own.id).status == "revoked"
    with pytest.raises(UsageError, match=f"the key {own.id} was revoked, and stays so"):
        keys.pin(own.public_pem)


def test_a_rotated_key_stays_pinned_for_what_it_signed(keys: Keys) -> None:
    old = keys.own()
    new = keys.rotate()
    assert new.id != old.id
    assert keys.own().id == new.id
    assert {key.id: key.status for key in keys.all()} == {old.id: "pinned", new.id: "pinned"}


def test_an_unknown_key_cannot_be_revoked(keys: Keys) -> None:
    own = keys.own()
    with pytest.raises(UsageError, match=f"there is no key '{own.id[:-1]}x'. Did you mean '{own.id}'"):
        keys.revoke(own.id[:-1] + "x")


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        ("hello", "it is no public key in PEM"),
        (_pem(ec.generate_private_key(ec.SECP384R1())), "it is no ECDSA key on P-256"),
        (_pem(rsa.generate_private_key(65537, 2048)), "it is no ECDSA key on P-256"),
    ],
)
def test_only_keys_of_the_one_kind_are_pinned(keys: Keys, pem: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        keys.pin(pem)


def test_a_damaged_private_key_is_told(keys: Keys) -> None:
    keys.own()
    (keys.folder / OWN).write_text("nonsense")
    with pytest.raises(UsageError, match=r"own\.pem: is no private key that can be read: bring it back from a copy"):
        keys.own()
    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (keys.folder / OWN).write_bytes(pem)
    with pytest.raises(UsageError, match=r"own\.pem: is no ECDSA key on P-256"):
        keys.own()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "nbprod/keys/9", "keys": []}', '{"schema": "nbprod/keys/1"}'])
def test_a_damaged_list_of_keys_is_told(keys: Keys, text: str) -> None:
    keys.own()
    (keys.folder / KNOWN).write_text(text)
    with pytest.raises(UsageError, match=r"known\.json: is no list of keys that this nbprod can read"):
        keys.all()


def test_the_list_of_keys_says_its_schema(keys: Keys) -> None:
    keys.own()
    assert json.loads((keys.folder / KNOWN).read_text())["schema"] == "nbprod/keys/1"


def test_two_processes_that_make_the_first_key_at_once_get_the_same(keys: Keys) -> None:
    program = "import sys, pathlib; from nbprod.trust.keys import Keys; print(Keys(pathlib.Path(sys.argv[1])).own().id)"
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(keys.folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ids = {process.communicate(timeout=60)[0].strip() for process in started}
    assert ids == {keys.own().id}


def test_the_folder_is_the_users_and_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBPROD_KEYS", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("NBPROD_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "nbprod" / "keys"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder().is_relative_to(tmp_path)
