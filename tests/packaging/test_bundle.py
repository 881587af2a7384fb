"""A bundle has the same bytes whenever it is made, appears whole, and tells what was touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbprod.digest import members
from nbprod.errors import ArtifactError, UsageError
from nbprod.packaging import bundle
from nbprod.packaging.bundle import Manifest, check_bundle, new_folder, read_manifest
from nbprod.trust.keys import Keys
from tests.packaging.made import ABOUT, STATEMENT, folder


def made(place: Path, model: Path) -> Manifest:
    """A bundle without wheels."""
    signer = Keys(model.parent / "keys")
    key = signer.find(signer.own().id)
    assert key
    with new_folder(place) as part:
        bundle.place_model(part, model)
        bundle.place_keys(part, [key])
        bundle.place_statements(part, [STATEMENT])
        (part / "wheels").mkdir()
        (part / "wheels" / "a.whl").write_text("wheel")
        return bundle.seal(part, ABOUT)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder(tmp_path / "registered")


def test_the_same_version_gives_the_same_bytes_modes_and_times(tmp_path: Path, model: Path) -> None:
    first = made(tmp_path / "one", model)
    before = os.umask(0o077)
    try:
        second = made(tmp_path / "deep" / "er" / "two", model)
    finally:
        os.umask(before)
    assert first.digest == second.digest
    one, two = (
        {
            name: (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime, path.parent.stat().st_mode)
            for name, path in members(place)
        }
        for place in (tmp_path / "one", tmp_path / "deep" / "er" / "two")
    )
    assert one == two
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o755


def test_the_model_is_there_bit_by_bit_and_not_what_mlflow_added(tmp_path: Path, model: Path) -> None:
    made(tmp_path / "made", model)
    there = {name: path.read_bytes() for name, path in members(tmp_path / "made" / "model")}
    expected = {name: path.read_bytes() for name, path in members(model) if name != "registered_model_meta"}
    assert there == expected


def test_the_keys_in_a_bundle_are_read_as_a_user_s_are(tmp_path: Path, model: Path) -> None:
    made(tmp_path / "made", model)
    (key,) = Keys(tmp_path / "made" / "keys").all()
    assert (key.status, key.comment, key.created) == ("pinned", "", "")
    assert (tmp_path / "made" / "keys" / f"{key.id}.pem").read_text() == key.pem


def test_statements_are_there_in_their_order(tmp_path: Path, model: Path) -> None:
    made(tmp_path / "made", model)
    (file,) = (tmp_path / "made" / "statements").iterdir()
    assert file.name == "001-registration.json"
    assert json.loads(file.read_text())["subject"] == STATEMENT.subject


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"), new_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path, model: Path) -> None:
    (tmp_path / "made").mkdir()
    made(tmp_path / "made", model)
    assert check_bundle(tmp_path / "made").name == "churn"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "made") as part:
        (part / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda place: (place / "model" / "MLmodel").write_text("x"), "model/MLmodel was changed"),
        (lambda place: (place / "model" / "new.py").write_text("x"), r"model/new\.py was added"),
        (lambda place: (place / "statements" / "001-registration.json").unlink(), r"001-registration\.json is missing"),
        (lambda place: (place / "wheels" / "a.whl").write_text("x"), r"wheels/a\.whl was changed"),
    ],
)
def test_a_bundle_that_was_touched_is_refused(
    tmp_path: Path, model: Path, harm: Callable[[Path], object], said: str
) -> None:
    made(tmp_path / "made", model)
    harm(tmp_path / "made")
    with pytest.raises(ArtifactError, match=said):
        check_bundle(tmp_path / "made")


def test_an_image_does_not_hold_the_wheels_that_it_was_made_from(tmp_path: Path, model: Path) -> None:
    made(tmp_path / "made", model)
    (tmp_path / "made" / "wheels" / "a.whl").unlink()
    assert check_bundle(tmp_path / "made").ref == "churn/3"


OLD = {
    "schema": "nbprod/bundle/1", "name": "churn", "version": "3", "entry": "e", "model": {"sha256": "d"},
    "python": "3.11", "nbprod": "0.1.0", "base": "b", "wheels": "own", "files": {"a": "f" * 64},
}  # fmt: skip


def test_a_bundle_of_the_first_schema_is_read(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps(OLD))
    assert read_manifest(tmp_path).files == {"a": "f" * 64}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"schema": "nbprod/bundle/1"}', "cannot be read"),
        ('{"schema": "nbprod/bundle/9"}', "upgrade nbprod"),
    ],
)
def test_what_is_no_bundle_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(ArtifactError, match=said):
        read_manifest(tmp_path)
