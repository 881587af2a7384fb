"""The exported folder: a version that lies outside any registry, with everything that was said of it.

    export.json               ``nbprod/export/1``: what it is, and the sha256 of every other file
    model/                    the registered folder, bit by bit, with its signature
    statements/<sha256>.json  what was said of the version, as the registry keeps it
    audit/<number>.json       the model's audit log, for information: it counts only where it was written
    keys/<id>.pem             the public keys of those who signed, to be pinned by hand

Whoever reads one distrusts it: its files are those of the list and no others, and none leads elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from nbprod.digest import members, sha256_bytes, sha256_file
from nbprod.entities import Fact, Statement
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.folder import REGISTERED
from nbprod.registry.auditing import file_name
from nbprod.registry.statements import read_file, statement_bytes, statement_name
from nbprod.store import written_whole
from nbprod.trust.keys import id_of

SCHEMA = "nbprod/export/1"
MANIFEST = "export.json"
MODEL, STATEMENTS, AUDIT, KEYS = "model", "statements", "audit", "keys"
PARTS = frozenset({MODEL, STATEMENTS, AUDIT, KEYS})
"""What may lie beside the list."""

LARGEST = 100_000_000
"""Bytes that a list of files may have; it is read as a whole."""

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export(Fact):
    """What the list says; nobody signed it, so only the digests in it are relied on, and only against the files.

    Attributes:
        version: the number that it had.
        digest: of its entry.
        created: when it was registered there.
        registry: where it was, without credentials.
        aliases: what pointed at it when it was exported, for information.
        tags: what else the registry said of it.
        files: path -> sha256.
    """

    schema: str = SCHEMA
    name: str
    version: str
    digest: str
    created: str = ""
    registry: str = ""
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """How it was called there."""
        return f"{self.name}/{self.version}"

    def under(self, part: str) -> list[str]:
        """The files in one of the folders, sorted."""
        return sorted(name for name in self.files if name.startswith(f"{part}/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is to be exported.

    Attributes:
        folder: the registered folder; what MLflow added to it is left out.
        lines: of the audit log, in their order.
        keys: id -> public key as PEM.
    """

    folder: Path
    statements: Sequence[Statement] = ()
    lines: Sequence[str] = ()
    keys: Mapping[str, str] = field(default_factory=dict)


def write_export(target: Path, export: Export, contents: Contents) -> Export:
    """Write the folder, whole or not at all; returns the list with its files.

    Raises:
        UsageError: something lies there.
    """
    check_free(target)
    with written_whole(target) as part:
        part.mkdir()
        for name, path in members(contents.folder):
            if name != REGISTERED:
                place = part / MODEL / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
        for statement in contents.statements:
            _write(part / STATEMENTS / statement_name(statement), statement_bytes(statement))
        for number, line in enumerate(contents.lines, 1):
            _write(part / AUDIT / file_name(number), line.encode())
        for id, pem in contents.keys.items():
            _write(part / KEYS / f"{id}.pem", pem.encode())
        made = Export.from_dict({**export.to_dict(), "files": {n: sha256_file(p) for n, p in members(part)}})
        _write(part / MANIFEST, json.dumps(made.to_dict(), indent=1, sort_keys=True).encode() + b"\n")
        if target.is_dir():
            target.rmdir()  # it is empty
    return made


def check_free(target: Path) -> None:
    """Refuse a place where something lies.

    Raises:
        UsageError: it is a file, or a folder that is not empty.
    """
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise UsageError("is there already and not empty: name a folder that is not there yet.", file=str(target))


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)


def is_export(folder: Path) -> bool:
    """Whether a folder looks like an export."""
    return (folder / MANIFEST).is_file()


def read_export(folder: Path) -> Export:
    """Read an export's list and hold every file against it; nothing is loaded, and nothing is written.

    Raises:
        UsageError: it is no export.
        ArtifactError: a file is missing, was added or changed, or lies or leads outside.
    """
    listed = read_list(folder)
    found = _found(folder)
    for name in sorted({*listed.files, *found}):
        if name not in found:
            what = "is missing: the export was cut, or not copied whole; copy it again"
        elif name not in listed.files:
            what = "is not in the export's list: somebody added it; take it away or get the export again"
        elif sha256_file(folder / name) != listed.files[name]:
            what = "was changed: its sha256 is not the one in the export's list; get the export again"
        else:
            continue
        raise ArtifactError(f"{what}.", file=name)
    return listed


def read_list(folder: Path) -> Export:
    """An export's list, as far as it can be read by itself; see `read_export`."""
    path = folder / MANIFEST
    if folder.is_symlink() or path.is_symlink() or not path.is_file():
        raise UsageError(
            f"is no export: it is no folder with a file {MANIFEST}; `nbprod export REF FOLDER` makes one.",
            file=str(folder),
        )
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("too large")
        content: Any = json.loads(path.read_bytes())
        schema = content["schema"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            "is damaged: it is no list that nbprod wrote; get the export again.", file=MANIFEST
        ) from error
    if schema != SCHEMA:
        raise ArtifactError(
            f"has the schema {schema!r}, and this nbprod reads {SCHEMA}: upgrade nbprod, or export it again.",
            file=MANIFEST,
        )
    try:
        listed = Export.from_dict(content)
        texts = (listed.name, listed.version, listed.digest, *listed.files, *listed.files.values())
        if not all(isinstance(text, str) for text in texts) or not _SHA256.match(listed.digest):
            raise TypeError("no text")
        whole = all(_SHA256.match(sha256) for sha256 in listed.files.values())
    except (TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            "is damaged: a field is missing or of another kind; get the export again.", file=MANIFEST
        ) from error
    if not whole:
        raise ArtifactError("is damaged: a file in it has no sha256; get the export again.", file=MANIFEST)
    for name in listed.files:
        _check_name(name)
    return listed


def _check_name(name: str) -> None:
    """Refuse a path that leads out of the folder, or that another system would read otherwise.

    Raises:
        ArtifactError: it does.
    """
    parts = name.split("/")
    odd = "\\" in name or ":" in name or any(ord(character) < 32 for character in name)
    if odd or len(parts) < 2 or parts[0] not in PARTS or any(part in ("", ".", "..") for part in parts):
        raise ArtifactError(
            f"names the file {name!r}, which does not lie in the export: somebody changed the list; get the export "
            "again.",
            file=MANIFEST,
        )


def _found(folder: Path) -> set[str]:
    """Every file below a folder but the list.

    Raises:
        ArtifactError: something is a link, or no file.
    """
    found: set[str] = set()
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            mode = path.lstat().st_mode
            relative = path.relative_to(folder).as_posix()
            if stat.S_ISLNK(mode):
                raise ArtifactError("is a link, and an export has none: get the export again.", file=relative)
            if stat.S_ISREG(mode):
                found.add(relative)
            elif not stat.S_ISDIR(mode):
                raise ArtifactError("is neither a file nor a folder: get the export again.", file=relative)
    return found - {MANIFEST}


def copy_model(folder: Path, export: Export, target: Path) -> None:
    """Copy the registered folder out of an export, file by file of the list; what is copied is what was read.

    Raises:
        ArtifactError: a file changed meanwhile.
    """
    for name in export.under(MODEL):
        place = target / PurePosixPath(name).relative_to(MODEL)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, place, follow_symlinks=False)
        if place.is_symlink() or sha256_file(place) != export.files[name]:
            raise ArtifactError("changed while it was read: import it again when nobody writes there.", file=name)


def read_statements(folder: Path, export: Export) -> Iterable[Statement]:
    """The statements of an export.

    Raises:
        ArtifactError: one is damaged, speaks of another entry, or says more than this nbprod understands.
    """
    for name in export.under(STATEMENTS):
        path = folder / name
        statement = read_file(path)
        if statement.subject != export.digest:
            raise ArtifactError("speaks of another entry than this version's: get the export again.", file=name)
        said = json.loads(path.read_bytes())
        kept = statement.to_dict()
        if any(kept.get(key) != value for key, value in said.items()):
            raise ArtifactError("says more than this nbprod understands, and would lose it: upgrade nbprod.", file=name)
        yield statement


def read_audit(folder: Path, export: Export) -> tuple[str, ...]:
    """The lines of the audit log in an export, in their order; they are not judged here."""
    return tuple((folder / name).read_text(encoding="utf-8", errors="replace") for name in export.under(AUDIT))


def key_file(folder: Path, export: Export, hint: str) -> tuple[str, str]:
    """The file of the key that a signature's hint means, and its id; empty if the export does not bring it.

    Whoever made the export chose the file's name, so the id is taken from the key itself.

    Args:
        hint: the beginning of the sha256 of the key's PEM.
    """
    for name in export.under(KEYS):
        content = (folder / name).read_bytes()
        if sha256_bytes(content).startswith(hint):
            with suppress(UsageError, UnicodeDecodeError):
                return name, id_of(content.decode())
    return "", ""
