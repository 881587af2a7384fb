"""The registered folder: the model with ``MLmodel`` at its root, and nbprod's files in ``nbprod/``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from nbprod.digest import canonical, members, sha256_file
from nbprod.errors import ArtifactError
from nbprod.flavors.facts import PREDICTIONS
from nbprod.registry import FOLDER
from nbprod.store import remove, written_whole

ENTRY = f"{FOLDER}/nbprod.json"
"""Where the entry is in a registered folder."""

REGISTERED = "registered_model_meta"
"""What MLflow adds to a version that it downloads; no part of the model."""


def model_files(folder: Path, hash_file: Callable[[Path], str] = sha256_file) -> dict[str, str]:
    """Relative path -> sha256 of every file of a model.

    What nbprod or MLflow put beside an earlier version of it is left out; what the model answered to its example, which
    was written together with it, is part of it.

    Args:
        hash_file: gives a file's sha256.
    """
    return {name: hash_file(path) for name, path in _own(folder)}


def _own(folder: Path) -> Iterator[tuple[str, Path]]:
    for name, path in members(folder):
        if name == PREDICTIONS or not (name == REGISTERED or name.startswith(f"{FOLDER}/")):
            yield name, path


def assemble(model: Path, target: Path, *, entry: Mapping[str, Any], files: Mapping[str, Path | bytes]) -> Path:
    """Make the registered folder at ``target``, whole or not at all.

    Args:
        model: the model's folder; it is copied.
        entry: becomes ``nbprod/nbprod.json`` in canonical JSON.
        files: path under ``nbprod/`` -> the file or its content.

    Raises:
        ArtifactError: the model has no ``MLmodel``, or is not the one that the entry speaks of.
    """
    with written_whole(target) as part:
        part.mkdir()
        for name, path in _own(model):
            _place(part / name, path)
        if not (part / "MLmodel").is_file():
            raise ArtifactError("is no MLflow model folder: it holds no file MLmodel.", file=str(model))
        if model_files(part) != entry["model"]["files"]:
            raise ArtifactError(
                "changed while it was being registered: run again when nobody writes to it.", file=str(model)
            )
        for name, content in {**files, "nbprod.json": canonical(dict(entry))}.items():
            relative = PurePosixPath(FOLDER, name)
            if ".." in relative.parts or (part / relative).exists():
                raise ArtifactError(
                    f"nbprod has a file of its own at {relative}: call the other one otherwise.", file=name
                )
            _place(part / relative, content)
        remove(target)
    return target


def _place(place: Path, content: Path | bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        place.write_bytes(content)
    else:
        shutil.copyfile(content, place)  # not its mode: what the store keeps is read-only
