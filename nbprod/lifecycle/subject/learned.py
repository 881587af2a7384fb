"""What learned from an erased subject: no alias moves there, nothing goes on from it, and it is built again without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nbprod.entities import Artifact, ModelVersion
from nbprod.errors import GateFailed
from nbprod.evidence.subjects import NOBODY
from nbprod.evidence.tombstones import SHOWN, Erased
from nbprod.lifecycle.subject.erasures import read_erasures
from nbprod.lifecycle.subject.indexing import Dataset, Indexes, Question
from nbprod.lifecycle.versions import known_versions
from nbprod.lifecycle.workspace import Workspace
from nbprod.registry import Registry
from nbprod.retraining.chain import Rebuild, chain_of, rebuild_from


def question_of(erased: Iterable[Erased]) -> Question:
    """What to ask indexes about some erasures."""
    found: dict[str, set[bytes]] = {}
    for item in erased:
        found.setdefault(item.subject_key, set()).add(bytes.fromhex(item.token))
    return {key: frozenset(tokens) for key, tokens in found.items()}


def shown(item: Erased) -> str:
    """An erasure by the number of its tombstone and the beginning of its token."""
    return f"tombstone {item.line}, token {item.token[:SHOWN]}"


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
    lineage = chain_of(version, known_versions(work) if version.entry.get("parent") else ())
    if not any(dataset for item in lineage for dataset in outside(item)):
        return
    indexes = Indexes(work=work)
    for erased in log.sound().erased:
        for item in lineage:
            if binds(erased, item):
                _check(indexes, item, erased, refused=refused.format(version.ref))


def binds(erased: Erased, version: ModelVersion) -> bool:
    """Whether an erasure is about a version; one that was closed is about those that are older than its closing."""
    return erased.open or bool(erased.closed and version.created < erased.closed)


def _check(indexes: Indexes, item: ModelVersion, erased: Erased, *, refused: str) -> None:
    for dataset, held, why in _held(indexes, item, erased):
        raise GateFailed(
            f"{refused}: {item.ref} {held} a subject who is erased ({shown(erased)}), {dataset.artifact.uri}{why}; "
            "nothing overrides that: remove the rows, train again with `nbprod run` and use the new version."
        )


def _held(indexes: Indexes, item: ModelVersion, erased: Erased) -> Iterator[tuple[Dataset, str, str]]:
    """The datasets of a version that held a subject, or may have; in words, and why that is not known."""
    for dataset in outside(item):
        found = indexes.ask(dataset, question_of([erased]))
        if found.answer in ("absent", "nameless"):
            continue
        held = "was made from data that held" if found.answer == "holds" else "was made from data that may have held"
        yield dataset, held, f" (it {found.why.rstrip('.')})" if found.answer == "unknown" else ""


def seeing(work: Workspace, registry: Registry | None = None) -> Callable[[ModelVersion], bool] | None:
    """Says whether a version itself read data that held an erased subject, or may have; None where nobody is erased.

    Raises:
        RegistryError: the log of erasures cannot be trusted.
    """
    log = read_erasures(work, registry)
    if not (log.count or log.problems):
        return None
    erased, indexes = log.sound().erased, Indexes(work=work)
    known: dict[str, bool] = {}

    def saw(version: ModelVersion) -> bool:
        if version.digest not in known:
            known[version.digest] = any(
                binds(item, version) and next(_held(indexes, version, item), None) is not None for item in erased
            )
        return known[version.digest]

    return saw


def rebuild_of(work: Workspace, version: ModelVersion, registry: Registry | None = None) -> Rebuild | None:
    """From where a version's update chain is built again, because of the erasures; None if none of it must be.

    A version that was trained anew is a chain by itself.

    Raises:
        RegistryError: the log of erasures cannot be trusted.
    """
    saw = seeing(work, registry)
    return None if saw is None else rebuild_from(version, known_versions(work), saw)


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
