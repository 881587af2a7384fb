"""What an erasure blocks: runs on data that still hold the subject, and aliases of versions that learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbprod.entities import Artifact, ModelVersion
from nbprod.errors import GateFailed, NbprodError, UsageError
from nbprod.evidence.lineage import INHERITS
from nbprod.evidence.subjects import NOBODY
from nbprod.evidence.tombstones import SHOWN, Erased
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.subject.erasures import read_erasures
from nbprod.lifecycle.subject.indexing import Dataset, Found, Indexes, Question, declared
from nbprod.lifecycle.versions import known_versions
from nbprod.lifecycle.workspace import Workspace
from nbprod.pipeline.attempt import Inspect
from nbprod.registry import Registry


def question_of(erased: Iterable[Erased]) -> Question:
    """What to ask indexes about some erasures."""
    found: dict[str, set[bytes]] = {}
    for item in erased:
        found.setdefault(item.subject_key, set()).add(bytes.fromhex(item.token))
    return {key: frozenset(tokens) for key, tokens in found.items()}


def shown(item: Erased) -> str:
    """An erasure by the number of its tombstone and the beginning of its token."""
    return f"tombstone {item.line}, token {item.token[:SHOWN]}"


def check_inputs(work: Workspace, bound: Bound) -> None:
    """Index the inputs whose cards name a subject, and refuse those that hold one who is erased.

    Raises:
        PipelineError: a card names a column that is not there.
        UsageError: an input holds, or may hold, a subject who is erased.
        RegistryError: the log of erasures cannot be trusted.
    """
    found = [item for _, _, item in declared(work, (text for stage in bound.stages for text in stage.files.values()))]
    if not found:
        return
    erased = read_erasures(work).sound().open
    for dataset in found:
        if refused := _refused(Indexes(work=work), dataset, erased):
            raise UsageError(refused, file=dataset.artifact.uri)


def holding(work: Workspace, bound: Bound) -> Inspect:
    """What says, as a stage begins, which of its files hold a subject who is erased.

    They were looked at before the run, but may have been replaced since.
    """
    texts = {item.name: tuple(item.files.values()) for item in bound.everything}

    def inspect(stage: str, paths: Mapping[str, Path]) -> Iterator[str]:
        try:
            for text, _, dataset in declared(work, texts[stage]):
                erased = read_erasures(work).sound().open
                if refused := _refused(Indexes(work=work), dataset, erased):
                    yield f"{text} {refused}"
        except NbprodError as error:
            yield str(error)

    return inspect


def _refused(indexes: Indexes, dataset: Dataset, erased: Sequence[Erased]) -> str:
    """Why a run may not read a dataset, beginning after its name; empty if it may."""
    for item in erased:
        found = indexes.ask(dataset, question_of([item]))
        if found.answer == "holds":
            return (
                f"still holds a subject who is erased ({shown(item)}): remove the rows of that subject from the file, "
                "then run again."
            )
        if found.answer == "unknown":
            return _unknown(item, found)
    return ""


def _unknown(item: Erased, found: Found) -> str:
    """Why nobody knows whether a dataset holds a subject, and what to do."""
    if found.lacking:
        return (
            f"may hold a subject who is erased ({shown(item)}), but the subject key {item.subject_key} is not here: "
            f"bring it back from a copy or get it from {item.user}, as subjects-{item.subject_key}.key beside your own "
            f"keys; if it is lost, `nbprod subject erase --replaces {item.line}` says the erasure again with yours."
        )
    return (
        f"may hold a subject who is erased ({shown(item)}), because it {found.why.rstrip('.')}: keep the data as "
        "Parquet, CSV, TSV or JSON lines, in UTF-8."
    )


def check_version(
    work: Workspace, registry: Registry, version: ModelVersion, *, refused: str = "no alias moves to {}"
) -> None:
    """Refuse to move an alias to a version that learned from a subject who is erased, or that comes from such a one.

    A closed erasure counts for the versions that are older than its closing: they remember what was erased.

    Args:
        version: with its entry.
        refused: what is not done to it, if that is something else.

    Raises:
        GateFailed: its data, or those of a version that it was made from, held such a subject, or may have.
        RegistryError: the log of erasures cannot be trusted.
    """
    log = read_erasures(work, registry)
    if not (log.count or log.problems):
        return
    lineage = tuple(_lineage(work, version))
    if not any(dataset for item in lineage for dataset in outside(item)):
        return
    indexes = Indexes(work=work)
    for erased in log.sound().erased:
        for item in lineage:
            if erased.open or (erased.closed and item.created < erased.closed):
                _check(indexes, item, erased, refused=refused.format(version.ref))


def _check(indexes: Indexes, item: ModelVersion, erased: Erased, *, refused: str) -> None:
    for dataset in outside(item):
        found = indexes.ask(dataset, question_of([erased]))
        if found.answer in ("absent", "nameless"):
            continue
        held = "was made from data that held" if found.answer == "holds" else "was made from data that may have held"
        why = f" (it {found.why.rstrip('.')})" if found.answer == "unknown" else ""
        raise GateFailed(
            f"{refused}: {item.ref} {held} a subject who is erased ({shown(erased)}), {dataset.artifact.uri}{why}; "
            "nothing overrides that: remove the rows, train again with `nbprod run` and use the new version."
        )


def _lineage(work: Workspace, version: ModelVersion) -> Iterator[ModelVersion]:
    """A version, and those from which it goes on learning; one that was trained anew inherits nothing."""
    yield version
    known: dict[str, ModelVersion] | None = None
    seen = {version.digest}
    while (parent := version.entry.get("parent")) and parent["relation"] == INHERITS:
        known = {item.digest: item for item in known_versions(work)} if known is None else known
        found = known.get(str(parent["digest"]))
        if found is None or found.digest in seen:
            return
        seen.add(found.digest)
        version = found
        yield version


def outside(version: ModelVersion) -> Iterator[Dataset]:
    """The datasets of a version that came from outside and whose cards name a subject column."""
    for item in version.entry.get("inputs", ()):
        column = subject_in(item)
        if column and column != NOBODY and not item["stage"]:
            yield Dataset(artifact=artifact_of(item), columns=(column,))


def subject_in(item: Mapping[str, Any]) -> str | None:
    """What the card of an entry's input says identifies a subject; None without a card; see `indexing.subject_of`."""
    card = item["card"]
    if not isinstance(card, Mapping):
        return None
    subject = str(card.get("subject") or "")
    return NOBODY if subject.casefold() == NOBODY else subject


def artifact_of(item: Mapping[str, Any]) -> Artifact:
    """An entry's input as an artifact."""
    return Artifact(
        name=item["name"], uri=item["uri"], sha256=item["sha256"], size=item["bytes"], kind=item["kind"], role="input"
    )
