"""The chain of versions that go on from each other, and where it must be cut so that a subject was never in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nbprod.entities import INCREMENTAL, Fact, ModelVersion

RETRAIN = "retrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild(Fact):
    """From where an update chain is built again.

    Attributes:
        seen: the first ancestor that saw the subject.
        start: the version before it, from which one may go on; empty if it began with a version that saw it.
        affected: `seen` and what came after it, oldest first.
    """

    seen: str
    start: str
    affected: tuple[str, ...]


def chain_of(version: ModelVersion, versions: Iterable[ModelVersion]) -> tuple[ModelVersion, ...]:
    """A version and those from which it goes on learning, newest first; one that was trained anew ends the chain."""
    known = {item.digest: item for item in versions}
    found = [version]
    seen = {version.digest}
    while (parent := found[-1].entry.get("parent")) and parent["relation"] == INCREMENTAL:
        item = known.get(str(parent["digest"]))
        if item is None or item.digest in seen:
            break
        seen.add(item.digest)
        found.append(item)
    return tuple(found)


def rebuild_from(
    version: ModelVersion, versions: Iterable[ModelVersion], saw: Callable[[ModelVersion], bool]
) -> Rebuild | None:
    """Where the update chain of a version must begin again after the erasure of a subject; None if none of it saw it.

    Args:
        versions: all of the model, with entries.
        saw: whether a version itself read data that held the subject; what it inherits does not count.
    """
    chain = chain_of(version, versions)
    at = max((position for position, item in enumerate(chain) if saw(item)), default=None)
    if at is None:
        return None
    start = chain[at + 1].ref if at + 1 < len(chain) else ""
    return Rebuild(seen=chain[at].ref, start=start, affected=tuple(item.ref for item in reversed(chain[: at + 1])))
