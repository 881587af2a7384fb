"""Signed folders: no file can be changed, added or taken away unseen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.trust.folder import SIGNATURE, check_folder, sign_folder
from nbprod.trust.keys import Keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    for name, text in {
        "MLmodel": "flavors: {}",
        "code/a b ü.py": "x = 1",
        "empty": "",
        "nbprod/nbprod.json": "{}",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return made


def test_a_signed_folder_is_what_it_was(folder: Path, keys: Keys) -> None:
    assert check_folder(folder, keys).state == "unsigned"
    sign_folder(folder, keys.own())
    found = check_folder(folder, keys)
    assert (found.state, found.key, found.problems) == ("ok", keys.own().id, ())


def test_it_may_be_moved_and_mlflow_may_add_what_it_adds(folder: Path, keys: Keys, tmp_path: Path) -> None:
    sign_folder(folder, keys.own())
    shutil.copytree(folder, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "registered_model_meta").write_text("version: 1")
    assert check_folder(tmp_path / "elsewhere", keys).state == "ok"


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: flip(folder / "MLmodel"), "MLmodel was changed."),
        (lambda folder: flip(folder / "nbprod/nbprod.json"), "nbprod/nbprod.json was changed."),
        (lambda folder: (folder / "code/a b ü.py").unlink(), "code/a b ü.py is missing."),
        (lambda folder: (folder / "code/evil.py").write_text("x"), "code/evil.py was added."),
        (lambda folder: (folder / "registered_model_meta.py").write_text("x"), "registered_model_meta.py was added."),
    ],
)
def test_every_file_that_was_touched_is_named(
    folder: Path, keys: Keys, harm: Callable[[Path], object], said: str
) -> None:
    sign_folder(folder, keys.own())
    harm(folder)
    found = check_folder(folder, keys)
    assert (found.state, found.problems) == ("bad", (said,))


def test_a_signature_of_another_folder_does_not_fit(folder: Path, keys: Keys, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "MLmodel").write_text("flavors: {pyfunc: {}}")
    swapped = sign_folder(other, keys.own())
    (folder / SIGNATURE).write_bytes(swapped.read_bytes())
    found = check_folder(folder, keys)
    assert found.state == "bad"
    assert "MLmodel was changed." in found.problems


def test_a_strangers_and_a_revoked_signature_are_no_good_ones(folder: Path, keys: Keys, tmp_path: Path) -> None:
    stranger = Keys(tmp_path / "stranger")
    sign_folder(folder, stranger.own())
    assert check_folder(folder, keys).state == "unpinned"
    keys.pin(stranger.own().public_pem)
    assert check_folder(folder, keys).state == "ok"
    keys.revoke(stranger.own().id)
    assert check_folder(folder, keys).state == "revoked"


def test_a_stranger_cannot_sign_in_the_name_of_a_key(folder: Path, keys: Keys, tmp_path: Path) -> None:
    sign_folder(folder, keys.own())
    named = json.loads((folder / SIGNATURE).read_text())["verificationMaterial"]
    sign_folder(folder, Keys(tmp_path / "stranger").own())
    bundle = json.loads((folder / SIGNATURE).read_text())
    (folder / SIGNATURE).write_text(json.dumps({**bundle, "verificationMaterial": named}))
    found = check_folder(folder, keys)
    assert (found.state, found.problems) == ("bad", (f"{SIGNATURE} is not signed with the key that it names.",))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"verificationMaterial": {"publicKey": {"hint": "a"}}, "dsseEnvelope": {"payloadType": "x"}}'],
)
def test_what_is_no_signature_is_told(folder: Path, keys: Keys, text: str) -> None:
    (folder / SIGNATURE).write_text(text)
    found = check_folder(folder, keys)
    assert found.state == "bad"
    assert found.problems[0].startswith(f"{SIGNATURE} ")
