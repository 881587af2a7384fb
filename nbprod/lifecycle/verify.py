"""``nbprod verify``: hold everything about a version against what was recorded of it; nothing is loaded or run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from nbprod.digest import sha256_file
from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError, NbprodError
from nbprod.evidence.audit import read_lines
from nbprod.evidence.entry import digest, validate
from nbprod.evidence.exported import MODEL, is_export, read_audit, read_export, read_statements
from nbprod.evidence.folder import ENTRY, model_files
from nbprod.lifecycle.checks import Check, Verified, of_signature
from nbprod.lifecycle.history import moved_by_hand
from nbprod.lifecycle.moving import read_log
from nbprod.lifecycle.recorded import of_parent, of_statements, of_tags
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import open_existing
from nbprod.registry import Registry
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys


def verify(text: str) -> Verified:
    """Verify a version by its reference, or a registered or exported folder by its path.

    Raises:
        UsageError: there is no such version.
    """
    folder = Path(text)
    if (folder / ENTRY).is_file():
        return Verified(ref=text, checks=tuple(folder_checks(folder, Keys())))
    if is_export(folder):
        return Verified(ref=text, checks=tuple(_of_export(folder, Keys())))
    keys = Keys()
    with open_existing() as work, ExitStack() as stack:
        version = find_version(text, work)
        registry = stack.enter_context(open_registry(work.project))
        source = Bytes(work=work, registry=registry, stack=stack)
        checks = [*folder_checks(source.raw_folder(version), keys, version=version), *_of_data(version, source)]
        checks.extend(of_statements(version, registry.statements(version.name, version.version), keys))
        others = registry.versions(version.name)
        pointed = next((other for other in others if other.version == version.version), version)
        checks.append(of_tags(replace(pointed, entry=version.entry)))
        checks.extend(of_parent(version, others))
        checks.extend(_of_log(registry, version, keys, others))
        return Verified(ref=version.ref, checks=tuple(checks))


def folder_checks(folder: Path, keys: Keys, *, version: ModelVersion | None = None) -> Iterator[Check]:
    """The entry, its signature, the model's files, and what lies beside them."""
    try:
        entry = validate(json.loads((folder / ENTRY).read_text(encoding="utf-8")))
    except (NbprodError, OSError, ValueError) as error:
        yield Check(name="entry", state="FAIL", why=f"{ENTRY} cannot be read: {error}")
        return
    if version is not None and digest(entry) != version.digest:
        yield Check(
            name="entry", state="FAIL", why=f"{ENTRY} is not the entry that was registered: its digest differs."
        )
    else:
        yield Check(name="entry", state="ok")
    hash_file = cache(sha256_file)  # every byte is read once
    yield _signature(folder, keys, hash_file)
    yield _compared("model", entry["model"]["files"], model_files(folder, hash_file))
    yield _compared("notebooks", *_notebooks(entry, folder, hash_file))
    yield _beside("environment", folder / "nbprod" / "freeze.txt", entry["environment"]["sha256"], hash_file)
    if "profile" in entry:
        yield _beside("profile", folder / entry["profile"]["path"], entry["profile"]["sha256"], hash_file)
    git = entry["source"]["git"]
    if isinstance(git, dict) and git["diff_sha256"]:
        yield _beside("diff", folder / "nbprod" / "diff.patch", git["diff_sha256"], hash_file)


def _signature(folder: Path, keys: Keys, hash_file: Callable[[Path], str]) -> Check:
    found = check_folder(folder, keys, hash_file=hash_file)
    bad = "; ".join(found.problems) or "the signature is not of these files."
    return of_signature("signature", found.key, found.state, bad=bad)


def _of_export(folder: Path, keys: Keys) -> Iterator[Check]:
    """The list of an export, the registered folder in it, what was said of it, and its history."""
    try:
        export = read_export(folder)
        yield Check(name="export", state="ok")
    except NbprodError as error:
        yield Check(name="export", state="FAIL", why=str(error))
        return
    yield from folder_checks(folder / MODEL, keys)
    try:
        said = tuple(read_statements(folder, export))
        version = ModelVersion(name=export.name, version=export.version, digest=export.digest)
        yield from of_statements(version, said, keys)
    except ArtifactError as error:
        yield Check(name="statements", state="FAIL", why=str(error))
    log = read_lines(read_audit(folder, export), keys, model=export.name, head=None)
    why = " ".join(log.problems) or "whether its end is missing cannot be told outside its registry."
    yield Check(name="audit log", state="FAIL" if log.problems else "unknown", why=why)


def _compared(name: str, recorded: Mapping[str, str], found: Mapping[str, str]) -> Check:
    """Files against the digests that the entry has of them; the first that differs is named."""
    for file in sorted({*recorded, *found}):
        if recorded.get(file) != found.get(file):
            what = "is missing" if file not in found else "was added" if file not in recorded else "was changed"
            return Check(name=name, state="FAIL", why=f"{file} {what}.")
    return Check(name=name, state="ok")


def _notebooks(
    entry: Mapping[str, Any], folder: Path, hash_file: Callable[[Path], str]
) -> tuple[dict[str, str], dict[str, str]]:
    listed = [item for item in entry["source"]["notebooks"] if item["executed"]]
    recorded = {item["executed"]: item["executed_sha256"] for item in listed}
    return recorded, {name: hash_file(folder / name) for name in recorded if (folder / name).is_file()}


def _beside(name: str, path: Path, recorded: str, hash_file: Callable[[Path], str]) -> Check:
    if not path.is_file():
        return Check(name=name, state="FAIL", why=f"{path.name} is missing.")
    if hash_file(path) != recorded:
        return Check(name=name, state="FAIL", why=f"{path.name} was changed.")
    return Check(name=name, state="ok")


def _of_data(version: ModelVersion, source: Bytes) -> Iterator[Check]:
    """Every dataset, read again where it can be reached."""
    for item in version.entry["inputs"]:
        try:
            source.data(item)
            yield Check(name=f"data {item['name']}", state="ok")
        except ArtifactError as error:
            yield Check(name=f"data {item['name']}", state="unknown", why=error.message)


def _of_log(registry: Registry, version: ModelVersion, keys: Keys, others: Iterable[ModelVersion]) -> Iterator[Check]:
    log = read_log(registry, version.name, keys)
    if log.problems:
        yield Check(name="audit log", state="FAIL", why=" ".join(log.problems))
    else:
        yield Check(name="audit log", state="ok", why="" if log.lines else "nothing was moved yet.")
    aliases = {alias: other.version for other in others for alias in other.aliases}
    moved = moved_by_hand(version.name, log, aliases)
    yield Check(name="aliases", state="FAIL" if moved else "ok", why=" ".join(moved))
