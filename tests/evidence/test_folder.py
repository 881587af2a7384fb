"""The registered folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import sha256_bytes
from nbprod.errors import ArtifactError
from nbprod.evidence.entry import build, digest
from nbprod.evidence.folder import ENTRY, assemble, model_files
from tests.evidence.made import evidence


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model as a stage left it, read-only as the store makes it."""
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "nbprod").mkdir()
    for name in ("MLmodel", "code/features.py", "nbprod/example_predictions.json"):
        (folder / name).write_text(name, encoding="utf-8")
        (folder / name).chmod(0o444)
    return folder


def entry_of(model: Path) -> dict[str, Any]:
    """An entry that speaks of this model."""
    return build(evidence(files=model_files(model)))


def listed(folder: Path) -> list[str]:
    """The files of a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_model_is_at_the_root_and_nbprods_files_in_a_folder_of_their_own(model: Path, tmp_path: Path) -> None:
    executed = tmp_path / "train.ipynb"
    executed.write_text("{}", encoding="utf-8")
    entry = entry_of(model)

    made = assemble(
        model, tmp_path / "made", entry=entry, files={"freeze.txt": b"a==1\n", "notebooks/train.ipynb": executed}
    )

    assert listed(made) == [
        "MLmodel",
        "code/features.py",
        "nbprod/example_predictions.json",
        "nbprod/freeze.txt",
        "nbprod/nbprod.json",
        "nbprod/notebooks/train.ipynb",
    ]
    assert sha256_bytes((made / ENTRY).read_bytes()) == digest(entry)
    assert json.loads((made / ENTRY).read_bytes()) == entry


def test_what_the_model_answered_is_part_of_it(model: Path) -> None:
    assert set(model_files(model)) == {"MLmodel", "code/features.py", "nbprod/example_predictions.json"}


def test_the_entry_of_an_earlier_version_is_not_carried_along(model: Path, tmp_path: Path) -> None:
    (model / "nbprod" / "nbprod.json").write_text("old", encoding="utf-8")
    (model / "nbprod" / "diff.patch").write_text("old", encoding="utf-8")
    (model / "registered_model_meta").write_text("old", encoding="utf-8")

    made = assemble(model, tmp_path / "made", entry=entry_of(model), files={})

    assert listed(made) == ["MLmodel", "code/features.py", "nbprod/example_predictions.json", "nbprod/nbprod.json"]
    assert "old" not in (made / ENTRY).read_text(encoding="utf-8")


def test_its_files_can_be_replaced_later(model: Path, tmp_path: Path) -> None:
    made = assemble(model, tmp_path / "made", entry=entry_of(model), files={})

    assert os.stat(made / "MLmodel").st_mode & 0o200


def test_a_model_that_changed_meanwhile_is_refused(model: Path, tmp_path: Path) -> None:
    entry = entry_of(model)
    (model / "more.bin").write_bytes(b"more")

    with pytest.raises(ArtifactError, match="changed while it was being registered"):
        assemble(model, tmp_path / "made", entry=entry, files={})
    assert not (tmp_path / "made").exists()


def test_a_folder_without_mlmodel_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "MLmodel").unlink()

    with pytest.raises(ArtifactError, match="holds no file MLmodel"):
        assemble(model, tmp_path / "made", entry=entry_of(model), files={})


@pytest.mark.parametrize("name", ["nbprod.json", "example_predictions.json", "../MLmodel", "../../x"])
def test_a_file_never_takes_the_place_of_another(model: Path, tmp_path: Path, name: str) -> None:
    files: dict[str, Path | bytes] = {name: b"x"}
    if name == "nbprod.json":
        made = assemble(model, tmp_path / "made", entry=entry_of(model), files=files)
        assert json.loads((made / ENTRY).read_bytes())["name"] == "churn"
        return
    with pytest.raises(ArtifactError, match="call the other one otherwise"):
        assemble(model, tmp_path / "made", entry=entry_of(model), files=files)


def test_what_was_there_is_replaced_whole(model: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "left.txt").write_text("left", encoding="utf-8")

    made = assemble(model, tmp_path / "made", entry=entry_of(model), files={})

    assert not (made / "left.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "model"]
