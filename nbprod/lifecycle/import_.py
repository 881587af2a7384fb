"""``nbprod import``: register a version that was exported elsewhere, if its bytes are what somebody trusted signed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod.digest import sha256_json
from nbprod.entities import Fact, ModelVersion, Statement
from nbprod.errors import ArtifactError, NbprodError
from nbprod.evidence.entry import UNKNOWN, digest, validate
from nbprod.evidence.exported import Export, copy_model, key_file, read_export, read_statements
from nbprod.evidence.folder import ENTRY
from nbprod.evidence.retelling import run_of
from nbprod.evidence.statements import REGISTRATION, registration, signature_of
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.export import check_signed
from nbprod.lifecycle.moving import current_user
from nbprod.lifecycle.registering import remember, shown_registry
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.pipeline.spec import check_model_name, parse_pipeline
from nbprod.registry import Registration, Registry
from nbprod.store import remove
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys

OURS = ("nbprod.", "mlflow.")
"""How tags begin that a registry makes itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(Fact):
    """What became of it.

    Attributes:
        version: in this registry.
        origin: how it was called where it was exported, and in which registry.
        registered: whether it is new here.
        statements: how many came with it.
        notes: sentences for the person.
    """

    version: ModelVersion
    origin: str
    registered: bool
    statements: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An export whose bytes were verified, copied to where nobody else writes.

    Attributes:
        folder: the registered folder.
    """

    export: Export
    folder: Path
    entry: dict[str, Any]
    statements: Sequence[Statement]


def import_version(folder: Path) -> Imported:
    """Register an exported version; one that is here is returned as it is, and no alias moves.

    Raises:
        UsageError: it is no export.
        ArtifactError: it is not what was signed, or not by a key that is pinned here.
    """
    from filelock import FileLock

    with open_existing() as work:
        export = read_export(folder)
        locks = work.project.data / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        check_model_name(export.name)  # it becomes the name of a file
        target = work.project.data / "registering" / export.digest
        with FileLock(locks / f"register-{export.name}.lock"):
            remove(target)  # left by an import that was killed
            try:
                copy_model(folder, export, target)
                arrived = _verified(folder, export, target)
                with open_registry(work.project) as registry:
                    return _register(work, registry, arrived)
            finally:
                remove(target)


def _verified(folder: Path, export: Export, copied: Path) -> Arrived:
    """Hold the copy against its signature, its entry and the export's list.

    Raises:
        ArtifactError: one of them does not fit; nothing has been registered then.
    """
    keys = Keys()
    found = check_folder(copied, keys)
    if found.state == "unpinned":
        file, id = key_file(folder, export, found.key)
        if not file:
            raise ArtifactError(
                f"{export.ref} is signed with a key that is not pinned here, and the export does not bring it: ask "
                "whose it is for the output of `nbprod keys --public`, and pin it with `nbprod keys --pin FILE`."
            )
        pin = shlex.join(["nbprod", "keys", "--pin", str(folder / file), "--comment", "WHOSE"])
        raise ArtifactError(
            f"{export.ref} is signed with the key {id}, which is not pinned here: ask whoever you had the export from "
            f"for the id that they see in `nbprod keys`, and if it is the same: {pin}"
        )
    if found.state == "revoked":
        raise ArtifactError(f"{export.ref} is signed with the key {found.key}, which was revoked: it is not imported.")
    if found.state == "unsigned":
        raise ArtifactError(f"{export.ref} is not signed, so nobody can tell whose it is: it is not imported.")
    check_signed(copied, keys)
    entry = validate(json.loads((copied / ENTRY).read_text(encoding="utf-8")))
    if digest(entry) != export.digest or entry["name"] != export.name:
        raise ArtifactError("names another entry than the model has: get the export again.", file="export.json")
    statements = tuple(read_statements(folder, export))
    if forged := next((said for said in statements if signature_of(said, keys).state == "bad"), None):
        raise ArtifactError(
            f"its statement {forged.schema} was changed after it was signed: get the export again.",
            file=folder.name,
        )
    return Arrived(export=export, folder=copied, entry=entry, statements=statements)


def _register(work: Workspace, registry: Registry, arrived: Arrived) -> Imported:
    """Register what arrived, with all that was said of it.

    A second time it registers nothing, but attaches what an import that was killed had not attached yet.
    """
    export, entry = arrived.export, arrived.entry
    before = registry.versions(export.name)
    made = next((version for version in before if version.digest == export.digest), None)
    registered = made is None
    if made is None:
        made = registry.register(_registration(registry, arrived))
    there = registry.statements(made.name, made.version)
    for statement in arrived.statements:
        registry.attach(made.name, made.version, statement)
    if not any(_is_registration_of(made, statement) for statement in there):
        origin = {"name": export.name, "version": export.version, "registry": export.registry}
        here, key = shown_registry(work.project.registry_uri()), Keys().own().id
        said = registration(made, registry=here, key=key, user=current_user(), origin=origin)
        attest(registry, made, said, Keys())
    whole = replace(made, entry=entry)
    remember(work, registry, whole)
    return Imported(
        version=whole,
        origin=f"{export.ref} in {export.registry}" if export.registry else export.ref,
        registered=registered,
        statements=len(arrived.statements),
        notes=tuple(_notes(entry, {version.digest for version in registry.versions()})),
    )


def _is_registration_of(version: ModelVersion, statement: Statement) -> bool:
    """Whether a statement is about this registration; the one of another registry may name the same version."""
    return (statement.schema, statement.subject, statement.created) == (REGISTRATION, version.digest, version.created)


def _notes(entry: Mapping[str, Any], known: set[str]) -> list[str]:
    parent = entry["parent"]
    if not parent or parent["digest"] in known:
        return []
    return [
        f"it is the {parent['relation']} of the entry {parent['digest'][:12]}, which is not in this registry: import "
        "that version, too, if its lineage is to be whole."
    ]


def _registration(registry: Registry, arrived: Arrived) -> Registration:
    """What to register: all of it is from the entry, which is signed, but for tags that people gave the version."""
    export, entry = arrived.export, arrived.entry
    git = entry["source"]["git"]
    commit, branch = (git["commit"], git["branch"]) if isinstance(git, Mapping) else (UNKNOWN, UNKNOWN)
    tags = {"mlflow.source.git.commit": commit, "mlflow.source.git.branch": branch} if commit != UNKNOWN else {}
    tags = {**tags, "mlflow.source.name": entry["pipeline"]["path"] or entry["source"]["notebooks"][0]["notebook"]}
    known = {
        item["sha256"]: {
            "role": item["name"] if item["role"] == "input" else item["role"],
            "rows": item["rows"],
            "columns": item["columns"] and len(item["columns"]),
        }
        for item in entry["inputs"]
    }
    tracking = registry.record(run_of(entry), str(arrived.folder), tags, known)
    said = {name: value for name, value in export.tags.items() if not name.startswith(OURS)}
    return Registration(
        name=entry["name"],
        folder=str(arrived.folder),
        digest=export.digest,
        keys=keys_of(entry),
        run=entry["run"]["id"],
        tracking=tracking,
        tags={**said, "nbprod.commit": commit},
        description="" if entry["intended_use"] == UNKNOWN else entry["intended_use"],
    )


def keys_of(entry: Mapping[str, Any]) -> str:
    """The digest over the keys of the stages and the gates, as the run had it that made the entry."""
    stages = {stage["name"]: stage["key"] for stage in entry["run"]["stages"]}
    if UNKNOWN in stages.values():  # a notebook that ran elsewhere, see `nbprod.lifecycle.register`
        outputs = entry["run"]["stages"][0]["outputs"]
        return sha256_json([entry["source"]["notebooks"][0]["executed_sha256"], outputs.get("model", "")])
    gates = None
    with suppress(NbprodError):  # a pipeline that this nbprod cannot read is run anew, which is no harm
        if entry["pipeline"]["text"]:  # the entry's own sections are in another order, which counts
            gates = parse_pipeline(entry["pipeline"]["text"], file="pipeline.yaml").sections.get("gates")
    return sha256_json({"stages": stages, "gates": json.dumps(gates)} if gates else stages)
