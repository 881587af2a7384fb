"""The registered folder: the model with ``MLmodel`` at its root, and nbprod's files in ``nbprod/``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbprod.digest import canonical, members, sha256_file
from nbprod.store import remove, written_whole

ENTRY = "nbprod/nbprod.json"
"""Where the entry is in a registered folder."""


def model_files(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file of a model."""
    return {name: sha256_file(path) for name, path in members(folder)}


def assemble(model: Path, target: Path, *, entry: Mapping[str, Any], files: Mapping[str, Path | bytes]) -> Path:
    """Make the registered folder at ``target``, whole or not at all.

    Args:
        model: the model's folder; it is copied.
        entry: becomes ``nbprod/nbprod.json`` in canonical JSON.
        files: path under ``nbprod/`` -> the file or its content.
    """
    with written_whole(target) as part:
        shutil.copytree(model, part, copy_function=shutil.copyfile)
        contents: dict[str, Path | bytes] = {**files, "nbprod.json": canonical(dict(entry))}
        for name, content in contents.items():
            place = part / "nbprod" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                place.write_bytes(content)
            else:
                shutil.copyfile(content, place)
        remove(target)
    return target
