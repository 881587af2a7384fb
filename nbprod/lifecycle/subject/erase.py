"""``nbprod subject erase``: write a tombstone, say what must be done, and delete the copies that are nbprod's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from nbprod.config import DATA, RUNS
from nbprod.entities import CellError, Fact, ModelVersion
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.tombstones import Erased
from nbprod.index import run_text
from nbprod.lifecycle.replaying import FOLDER as REPLAYED
from nbprod.lifecycle.replaying import forget
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.subject.erasures import Erasures, read_erasures, write_tombstone
from nbprod.lifecycle.subject.find import Trace, canonical, question, trace
from nbprod.lifecycle.subject.learned import rebuild_of
from nbprod.lifecycle.subject.logs import erase_from_logs
from nbprod.lifecycle.subject.standing import AFFECTED, Standings
from nbprod.lifecycle.subject.survey import survey
from nbprod.lifecycle.updating import PARENTS, forget_parents
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.registry import CHAMPION, Registry
from nbprod.retraining.chain import Rebuild
from nbprod.store import remove, write_text
from nbprod.trust.subject_keys import SubjectKey, SubjectKeys

GONE = "what it said was deleted, because it may have shown an erased subject."
"""Instead of the error of a stage that read the data of an erased subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing:
    """What to erase.

    Attributes:
        ids: of the subjects.
        reason: for the log; it may not hold an ID.
        deleting: ``"yes"`` to delete the copies.
        replaces: numbers of tombstones whose subject key is lost.
    """

    ids: tuple[str, ...]
    reason: str
    deleting: str = "no"
    replaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Fact):
    """What was done, and what is left to do.

    Attributes:
        tombstone: the number of the line; of the first that names one of the subjects if all were erased before.
        new: whether a line was written.
        trace: what is there, after copies were deleted.
        deleted: what was, a phrase each.
        retrain: pipelines and notebooks that made affected versions.
        rebuild: update chains that must be built again, each from before the first version that saw a subject.
    """

    tombstone: int
    new: bool
    trace: Trace
    deleted: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()
    rebuild: tuple[Rebuild, ...] = ()


def erase(request: Erasing) -> Done:
    """Erase subjects: from now on runs on data that hold them and moves to versions that learned from them are refused.

    Raises:
        UsageError: there is no reason, or it holds an ID; or a tombstone that is to be replaced is not open.
        RegistryError: the log of erasures cannot be trusted, or the registry not be reached.
    """
    subjects = canonical(request.ids)
    _check_reason(request, subjects)
    key = SubjectKeys().own()
    with open_existing() as work, open_registry(work.project) as registry:
        known = read_erasures(work, registry).sound()
        _check_replaced(known, request.replaces)
        forgotten = tuple(_forget(work))
        number, new = _write(work, registry, known, request, tokens=_tokens(subjects, key), key=key)
        standings = survey(work, question(subjects))
        found = trace(work, standings, subjects)
        deleted: tuple[str, ...] = ()
        if request.deleting == "yes":
            deleted = (
                *delete_copies(work, standings, found),
                *erase_from_logs(work, found.logs, (*subjects, *request.ids)),
            )
            found = trace(work, survey(work, question(subjects)), subjects)
        rebuild = tuple(_chains(work, registry, standings))
        return Done(
            tombstone=number,
            new=new,
            trace=found,
            deleted=(*forgotten, *deleted),
            retrain=tuple(dict.fromkeys(_makers(standings, found, rebuild))),
            rebuild=rebuild,
        )


def _forget(work: Workspace) -> Iterator[str]:
    """Take away what updates were given to go on from: it comes again, or is made anew without the subject."""
    if forget_parents(work):
        yield f"{DATA}/{PARENTS}, versions that updates went on from"
    if forget(work):
        yield f"{DATA}/{REPLAYED}, rows of earlier training sets"


def _chains(work: Workspace, registry: Registry, standings: Standings) -> Iterator[Rebuild]:
    """The update chains of champions, and of models without one, that must be built again."""
    heads: dict[str, ModelVersion] = {}
    for version in sorted(standings.versions, key=lambda item: int(item.version)):
        if CHAMPION not in getattr(heads.get(version.name), "aliases", ()):
            heads[version.name] = version
    for head in heads.values():
        if head.entry and "update" in head.entry["pipeline"]["sections"]:
            again = rebuild_of(work, head, registry)
            if again is not None:
                yield again


def _tokens(subjects: Iterable[str], key: SubjectKey) -> tuple[str, ...]:
    return tuple(key.token(id).hex() for id in subjects)


def _check_reason(request: Erasing, subjects: Sequence[str]) -> None:
    if not request.reason.strip():
        raise UsageError("an erasure needs a reason that others can read later: say it with --reason.")
    refuse_ids(request.reason, (*subjects, *request.ids))


def refuse_ids(reason: str, ids: Iterable[str]) -> None:
    """Refuse a reason that holds an ID: nothing that is written does.

    Raises:
        UsageError: it does.
    """
    for id in {id.strip() for id in ids}:
        if re.search(rf"(?<!\w){re.escape(id)}(?!\w)", reason, re.IGNORECASE):
            raise UsageError(
                "the reason holds the ID, which is written nowhere: say it without, such as by a case number."
            )


def _check_replaced(known: Erasures, numbers: Iterable[int]) -> None:
    for number in numbers:
        if number not in {item.line for item in known.open}:
            raise UsageError(f"--replaces {number}: there is no open tombstone of that number: nbprod subject list")


def _write(
    work: Workspace, registry: Registry, known: Erasures, request: Erasing, *, tokens: Sequence[str], key: SubjectKey
) -> tuple[int, bool]:
    """The number of the tombstone, and whether it is new."""
    there: dict[str, Erased] = {item.token: item for item in known.open if item.subject_key == key.id}
    if all(token in there for token in tokens) and not request.replaces:
        return min(there[token].line for token in tokens), False
    line = write_tombstone(
        work,
        registry,
        action="erase",
        tokens=tokens,
        subject_key=key.id,
        reason=request.reason.strip(),
        replaces=request.replaces,
    )
    return line.seq, True


def _makers(standings: Standings, found: Trace, rebuild: Iterable[Rebuild]) -> Iterator[str]:
    """What made the affected versions that an alias points at, or that no unaffected one can replace."""
    affected = {version.ref for version in found.versions if version.state in AFFECTED}
    apart = {again.seen.partition("/")[0] for again in rebuild}
    newer = {version.name for version in standings.versions if version.ref not in affected}
    for version in standings.versions:
        if version.name not in apart and version.ref in affected and (version.aliases or version.name not in newer):
            yield version.entry["pipeline"]["path"] or version.entry["run"]["stages"][0]["notebook"]


def delete_copies(work: Workspace, standings: Standings, found: Trace) -> tuple[str, ...]:
    """Delete what the store and ``runs/`` have of affected bytes; data at the paths of people are theirs to change.

    Objects of the store that something else has too, such as a list of requirements, stay.
    """
    affected = [place for place in found.places if place.state in AFFECTED]
    digests = {place.sha256 for place in affected}
    shared = frozenset().union(*_others(work, standings, digests)) - digests
    for place in affected:
        if place.kept:
            work.store.delete(replace(standings.artifact(place.sha256), uri=place.uri), shared=shared)
    for name in found.copies:
        remove(work.project.root / name)
    _drop_links(work)
    _forget_errors(work, found)
    kept = [f"store: {place.uri} (sha256 {place.sha256[:12]})" for place in affected if place.kept]
    return (*dict.fromkeys(kept), *found.copies)


def _others(work: Workspace, standings: Standings, affected: set[str]) -> Iterator[frozenset[str]]:
    """The objects of everything that is not affected."""
    for node in standings.graph.nodes:
        sha256 = str(node.facts.get("sha256", ""))
        if node.kind in ("data", "model") and sha256 not in affected:
            try:
                yield work.store.parts(standings.artifact(sha256))
            except ArtifactError:  # damaged
                continue


def _drop_links(work: Workspace) -> None:
    """Take links in ``runs/latest`` away that lead nowhere now."""
    latest = work.project.root / RUNS / "latest"
    for link in latest.iterdir() if latest.is_dir() else ():
        if link.is_symlink() and not link.exists():
            os.unlink(link)


def _forget_errors(work: Workspace, found: Trace) -> None:
    """Drop what failed stages said that read such data: an exception may name a value."""
    touched = set(found.stages)
    for run in work.index.runs():
        stages = tuple(
            replace(stage, error=CellError(message=GONE, cell=stage.error.cell))
            if stage.error and f"{run.id}/{stage.stage}" in touched
            else stage
            for stage in run.stages
        )
        if stages != run.stages:
            changed = replace(run, stages=stages)
            work.index.save_run(changed)
            file = work.project.runs / run.id / "run.json"
            if file.exists():
                write_text(file, run_text(changed))
