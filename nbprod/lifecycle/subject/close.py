"""``nbprod subject close``: an erasure is done when nothing is left, and that is proven, not said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbprod.entities import Fact
from nbprod.errors import GateFailed, UsageError
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.subject.erase import refuse_ids
from nbprod.lifecycle.subject.erasures import read_erasures, write_tombstone
from nbprod.lifecycle.subject.find import Trace, canonical, question, trace
from nbprod.lifecycle.subject.standing import AFFECTED
from nbprod.lifecycle.subject.survey import survey
from nbprod.lifecycle.workspace import open_existing


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Fact):
    """Erasures that were closed.

    Attributes:
        tombstones: their numbers.
        lines: the numbers of the lines that say so.
    """

    tombstones: tuple[int, ...]
    lines: tuple[int, ...]


class NotProven(GateFailed):
    """Something is left of an erased subject, or nobody knows.

    Args:
        left: what, a sentence each.
    """

    def __init__(self, message: str, *, left: Sequence[str]) -> None:
        super().__init__(message)
        self.left = tuple(left)


def close(ids: Sequence[str], *, reason: str = "") -> Closed:
    """Close the open erasures of some subjects, if nothing is left of any of them.

    Raises:
        UsageError: none of them is erased, or the reason holds an ID.
        NotProven: something is left, or unknown.
        RegistryError: the log of erasures cannot be trusted, or the registry not be reached.
    """
    subjects = canonical(ids)
    refuse_ids(reason, (*subjects, *ids))
    with open_existing() as work, open_registry(work.project) as registry:
        asked = question(subjects)
        known = read_erasures(work, registry).sound().open
        own = [item for item in known if bytes.fromhex(item.token) in asked.get(item.subject_key, ())]
        if not own:
            raise UsageError(
                "there is no open erasure of that subject that a key of yours can tell: nbprod subject list"
            )
        if left := list(dict.fromkeys(remaining(trace(work, survey(work, asked), subjects)))):
            raise NotProven(
                f"the erasure stays open, because it is not proven that nothing is left: {len(left)} "
                f"{'thing is' if len(left) == 1 else 'things are'} in the way.",
                left=left,
            )
        lines = []
        for key in dict.fromkeys(item.subject_key for item in own):
            tokens = [item.token for item in own if item.subject_key == key]
            line = write_tombstone(
                work, registry, action="close", tokens=tokens, subject_key=key, reason=reason.strip()
            )  # fmt: skip
            lines.append(line.seq)
        return Closed(tombstones=tuple(sorted({item.line for item in own})), lines=tuple(lines))


def remaining(found: Trace) -> Iterator[str]:
    """What keeps an erasure from being closed, a sentence each; what is unknown does."""
    for place in found.places:
        where = f"{place.uri} (sha256 {place.sha256[:12]})"
        if place.here and place.role == "data":
            if place.state in AFFECTED:
                yield f"{where} still holds the subject: remove the rows, and run the pipeline again."
            else:
                yield f"whether {where} holds the subject is unknown: it {place.why}"
        if place.kept and place.state in AFFECTED:
            yield f"the store keeps a copy of {where}: nbprod subject erase --delete-copies"
        elif place.role == "data" and place.here:
            continue
        elif place.kept or (place.here and place.role != "notebook" and place.state == "unknown"):
            yield f"whether {where}, which is kept, holds the subject is unknown: what it was made from {place.why}"
    for name in found.copies:
        yield f"{name} is left of a run on data that held the subject: nbprod subject erase --delete-copies"
    for name in found.uncertain:
        yield f"{name} is left of a run on data of which nobody knows whom they held: delete it."
    for version in found.versions:
        what = "which learned from the subject: move it to a new version."
        if version.state not in AFFECTED:
            what = "of which nobody knows what it learned from."
        yield from (f"the alias '{alias}' points at {version.ref}, {what}" for alias in version.aliases)
    for log in found.logs:
        if log.state == "holds":
            yield f"the prediction log {log.path} holds {log.rows} predictions: nbprod subject erase --delete-copies"
    yield from (line for line in found.unknown if line.startswith(("the prediction log", "runs/scratch")))
