"""A bundle: a folder with everything that serves one model version, and ``bundle.json``, which lists every byte of it.

It appears whole or not at all, and the same version gives the same bytes: members are sorted, no clock is read, and
every file has the same mode and time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbprod.digest import listing_digest, members, sha256_file
from nbprod.entities import Fact, ModelVersion, Statement
from nbprod.errors import ArtifactError, UsageError
from nbprod.store import written_whole
from nbprod.trust.keys import KNOWN, PublicKey
from nbprod.trust.keys import SCHEMA as KEYS_SCHEMA

SCHEMA = "nbprod/bundle/1"
SCHEMAS = frozenset({SCHEMA})
"""What this nbprod can read; every version that was ever written stays here."""

MANIFEST = "bundle.json"
LOCK = "requirements.lock"
MODEL, KEYS, STATEMENTS, WHEELS, KUBERNETES = "model", "keys", "statements", "wheels", "kubernetes"
"""Folders of a bundle."""

BUILD_ONLY = (f"{WHEELS}/", f"{KUBERNETES}/", "Containerfile")
"""What an image is made from, and does not hold: it may be away, but not be other bytes."""

UNRECORDED = frozenset({"registered_model_meta"})
"""What MLflow adds to a folder that it downloads, with the time: no part of the version."""

EPOCH = 315532800
"""1980-01-01 in seconds: the modification time of every file, which a zip archive can say, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Fact):
    """What ``bundle.json`` says.

    Attributes:
        name, version: of the model.
        entry: digest of the version's entry.
        model: ``sha256`` and ``flavor`` of the model, and what its ``signature`` is worth: ``ok`` with the ``key``, or
            ``unsigned``.
        python: ``major.minor`` of the Python that it runs with.
        nbprod: the version of nbprod in it.
        base: the image that it is built on.
        wheels: ``own`` where only nbprod's own wheel is in it, ``all`` where everything that it installs is.
        platform: operating system and machine that its wheels are for; empty where they are not in it.
        packages: how many it installs.
        files: path -> sha256 of every file but ``bundle.json``.
    """

    name: str
    version: str
    entry: str
    model: dict[str, str]
    python: str
    nbprod: str
    base: str
    wheels: str
    platform: str = ""
    packages: int = 0
    files: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of the whole bundle: of the listing of its files."""
        return listing_digest(self.files)

    @property
    def ref(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"


def refuse_used(target: Path) -> None:
    """UsageError where there is something that a bundle would replace; an empty folder is nothing."""
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise UsageError("is there already and not empty: name another folder, or move it away.", file=str(target))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears as ``target`` when the block ends well, and not at all when it does not.

    Raises:
        UsageError: there is something already.
    """
    refuse_used(target)
    with written_whole(target) as part:
        part.mkdir()
        yield part.resolve()


def place_model(part: Path, folder: Path) -> None:
    """Copy the registered folder bit by bit, without what MLflow adds to a download."""
    for name, path in members(folder):
        if name not in UNRECORDED:
            place = part / MODEL / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def place_keys(part: Path, keys: Sequence[PublicKey]) -> None:
    """Write the public keys that the model's signature is checked with, as `nbprod.trust.keys.Keys` reads a folder."""
    folder = part / KEYS
    folder.mkdir()
    listed = [PublicKey(id=key.id, pem=key.pem) for key in sorted(keys, key=lambda key: key.id)]
    document = {"schema": KEYS_SCHEMA, "keys": [key.to_dict() for key in listed]}
    (folder / KNOWN).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for key in listed:
        (folder / f"{key.id}.pem").write_text(key.pem, encoding="utf-8")


def place_statements(part: Path, statements: Sequence[Statement]) -> None:
    """Write what was said of the version so far, in the order in which it was."""
    folder = part / STATEMENTS
    folder.mkdir()
    for number, statement in enumerate(statements, 1):
        kind = statement.schema.split("/")[-2] if "/" in statement.schema else "statement"
        write_json(folder / f"{number:03}-{kind}.json", statement.to_dict())


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read, the same for the same value."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def seal(part: Path, about: Mapping[str, Any]) -> Manifest:
    """List every file in ``bundle.json``, and give all of them one mode and one time.

    Args:
        about: the fields of `Manifest` but ``files``.
    """
    files = {name: sha256_file(path) for name, path in members(part) if name != MANIFEST}
    manifest = Manifest(files=files, **about)
    write_json(part / MANIFEST, {"schema": SCHEMA, **manifest.to_dict()})
    for root, _, names in os.walk(part, topdown=False):
        for name in names:
            os.chmod(Path(root, name), 0o644)
            os.utime(Path(root, name), (EPOCH, EPOCH))
        os.chmod(root, 0o755)
        os.utime(root, (EPOCH, EPOCH))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What a bundle's ``bundle.json`` says; nothing is compared.

    Raises:
        ArtifactError: it is no bundle that this nbprod can read.
    """
    file = folder / MANIFEST
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        schema = content["schema"]
        if schema in SCHEMAS:
            return Manifest.from_dict(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"is no bundle: {MANIFEST} cannot be read.", file=str(folder)) from error
    raise ArtifactError(
        f"has the schema '{schema}', and this nbprod reads {', '.join(sorted(SCHEMAS))}: upgrade nbprod.",
        file=str(file),
    )


def check_bundle(folder: Path) -> Manifest:
    """Compare every file of a bundle with ``bundle.json``.

    Raises:
        ArtifactError: one was changed, added or taken away; it is named.
    """
    manifest = read_manifest(folder)
    found = {name: sha256_file(path) for name, path in members(folder) if name != MANIFEST}
    for name in sorted({*manifest.files, *found}):
        if name not in found and name.startswith(BUILD_ONLY):
            continue
        if manifest.files.get(name) != found.get(name):
            what = "is missing" if name not in found else "was added" if name not in manifest.files else "was changed"
            raise ArtifactError(f"is not the bundle that was built: {name} {what}; build it again.", file=str(folder))
    return manifest


def about(version: ModelVersion, **more: Any) -> dict[str, Any]:
    """The fields of `Manifest` that a version itself decides, and others."""
    model = version.entry["model"]
    return {
        "name": version.name,
        "version": version.version,
        "entry": version.digest,
        "model": {"sha256": str(model["sha256"]), "flavor": str(model["flavor"]), **more.pop("signature")},
        **more,
    }
