"""``nbprod export``: a version as a folder that moves to another registry, as a bill of materials, or as provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nbprod import __version__
from nbprod.digest import members, sha256_file
from nbprod.entities import Fact, ModelVersion, Statement
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.audit import KIND
from nbprod.evidence.exported import Contents, Export, check_free, write_export
from nbprod.evidence.folder import REGISTERED
from nbprod.lifecycle.registering import shown_registry
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.verify import folder_checks
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.store import write_text
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys

Format = Literal["folder", "cyclonedx", "slsa"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported(Fact):
    """What was written.

    Attributes:
        ref: the version.
        format: ``folder``, ``cyclonedx`` or ``slsa``.
        files: how many files it has; 1 if it is a file itself.
        bytes: of all of them.
        key: id of the key that signed it: of the folder whoever registered it, of a provenance whoever exports it.
    """

    ref: str
    target: str
    format: Format
    files: int
    bytes: int
    key: str = ""


def export(text: str, target: Path, format: Format) -> Exported:
    """Write a version outside its registry.

    Raises:
        UsageError: there is no such version, or something lies at the target.
        ArtifactError: a file of the version is not the one that was signed.
    """
    with open_existing() as work:
        version = find_version(text, work)
        if format == "folder":
            check_free(target)
            return _folder(work, version, target)
        if target.exists():
            raise UsageError("is there already: move it away, or name another file.", file=str(target))
        key = ""
        if format == "cyclonedx":
            from nbprod.evidence.cyclonedx import bill

            content = bill(version, tool=__version__)
        else:
            content, key = _signed_provenance(work, version)
        write_text(target, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    size = target.stat().st_size
    return Exported(ref=version.ref, target=str(target), format=format, files=1, bytes=size, key=key)


def _folder(work: Workspace, version: ModelVersion, target: Path) -> Exported:
    keys = Keys()
    with ExitStack() as stack:
        registry = stack.enter_context(open_registry(work.project))
        folder = Bytes(work=work, registry=registry, stack=stack).raw_folder(version)
        signer = check_signed(folder, keys, version=version)
        # Versions that came of one run lie together, and so do the statements about them.
        found = registry.statements(version.name, version.version)
        statements = [statement for statement in found if statement.subject == version.digest]
        lines = registry.lines(version.name)
        signers = {signer, *_of_statements(statements), *_of_lines(lines)}
        listed = write_export(
            target,
            Export(
                name=version.name,
                version=version.version,
                digest=version.digest,
                created=version.created,
                registry=shown_registry(work.project.registry_uri()),
                aliases=version.aliases,
                tags=version.tags,
            ),
            Contents(
                folder=folder,
                statements=statements,
                lines=lines,
                keys={key.id: key.pem for key in keys.all() if key.id in signers},
            ),
        )
    size = sum((target / name).stat().st_size for name in listed.files)
    files = len(listed.files) + 1
    return Exported(ref=version.ref, target=str(target), format="folder", files=files, bytes=size, key=signer)


def check_signed(folder: Path, keys: Keys, *, version: ModelVersion | None = None) -> str:
    """Hold a registered folder against its entry and its signature; returns the id of the key.

    Raises:
        ArtifactError: it is not signed by a key that is trusted, or a file is not the one that was signed.
    """
    for check in folder_checks(folder, keys, version=version):
        if check.name == "signature" and check.state == "unknown":
            raise ArtifactError(
                "the version is not signed, so nobody can tell whose it is or whether it was changed: register it "
                "again."
            )
        if check.state == "FAIL":
            raise ArtifactError(f"the version is not what was registered, {check.name}: {check.why}")
    return check_folder(folder, keys).key


def _signed_provenance(work: Workspace, version: ModelVersion) -> tuple[dict[str, Any], str]:
    """The provenance of the bytes that the registry has, sealed with the user's own key."""
    from nbprod.evidence import slsa
    from nbprod.trust.envelope import seal

    with ExitStack() as stack:
        registry = stack.enter_context(open_registry(work.project))
        folder = Bytes(work=work, registry=registry, stack=stack).raw_folder(version)
        check_signed(folder, Keys(), version=version)
        files = {name: sha256_file(path) for name, path in members(folder) if name != REGISTERED}
    key = Keys().own()
    statement = json.dumps(slsa.provenance(version, files, tool=__version__), ensure_ascii=False, sort_keys=True)
    return seal(slsa.KIND, statement.encode(), key), key.id


def _of_statements(statements: Iterable[Statement]) -> Iterable[str]:
    """Ids of the keys that statements name."""
    for statement in statements:
        by = statement.body.get("by")
        if isinstance(by, dict):
            yield str(by.get("key", ""))


def _of_lines(lines: Iterable[str]) -> Iterable[str]:
    """Ids of the keys that signed the lines of an audit log."""
    for line in lines:
        try:
            envelope = json.loads(line)
            if envelope["payloadType"] == KIND:
                yield str(envelope["signatures"][0]["keyid"])
        except (ValueError, KeyError, TypeError, IndexError):
            continue  # history for information: a damaged line is exported as it is
