"""Tombstones: that subjects asked to be forgotten, and that it was proven later, as a chain of signed lines.

A line names subjects by tokens only. It lies in one log of the whole registry, `nbprod.registry.auditing.ERASURES`, not
in that of a model: an erasure is about data, and must reach models that nobody has trained yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nbprod.entities import Fact
from nbprod.evidence.audit import Chain, read_chain, seal_line
from nbprod.registry.auditing import ERASURES
from nbprod.trust.keys import Keys, SigningKey

SCHEMA = "nbprod/tombstone/1"
KIND = "application/vnd.nbprod.tombstone+json"
"""The type of a line's payload in its envelope."""

SHOWN = 8
"""So many hex digits of a token tell tombstones apart on a screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone(Fact):
    """One line: subjects are erased, or it is closed.

    Attributes:
        seq: 1 for the first line.
        key: id of the key that signed it.
        user: name of the user on their machine; nobody vouches for it but the key.
        action: ``erase`` or ``close``.
        tokens: of the subjects, in hex.
        subject_key: id of the subject key that the tokens were made with.
        replaces: lines whose subject key is lost, and that this one says again.
        model: the log that it belongs to.
        previous: sha256 of the line before; empty for the first.
    """

    schema: str = SCHEMA
    seq: int
    time: str
    key: str
    user: str
    action: str
    tokens: tuple[str, ...]
    subject_key: str
    reason: str = ""
    replaces: tuple[int, ...] = ()
    model: str = ERASURES
    previous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased(Fact):
    """One subject who asked to be forgotten.

    Attributes:
        line: the tombstone's number.
        closed: when it was proven that nothing is left; empty while it is open.
        replaced: the tombstone that says it again with another subject key; 0 if there is none.
    """

    token: str
    subject_key: str
    line: int
    time: str
    user: str
    key: str
    reason: str
    closed: str = ""
    closed_by: str = ""
    replaced: int = 0

    @property
    def open(self) -> bool:
        """Whether it still blocks runs on data that hold the subject."""
        return not self.closed and not self.replaced


def seal_tombstone(line: Tombstone, key: SigningKey) -> str:
    """A line as it is written."""
    return seal_line(line, key, kind=KIND)


def read_tombstones(texts: Sequence[str], keys: Keys, *, head: str) -> Chain[Tombstone]:
    """Read the log, and say everything that is wrong with it; see `nbprod.evidence.audit.read_chain`."""
    return read_chain(texts, keys, kind=KIND, read=Tombstone.from_dict, name=ERASURES, head=head)


def standing(lines: Iterable[Tombstone]) -> tuple[Erased, ...]:
    """What the lines come to, each erasure once, in the order in which they were made.

    A subject who is erased again while the first erasure is open is not erased twice.
    """
    found: list[Erased] = []
    for line in lines:
        for place, item in enumerate(found):
            if item.line in line.replaces and item.open:
                found[place] = replace(item, replaced=line.seq)
            elif line.action == "close" and item.open and _names(line, item):
                found[place] = replace(item, closed=line.time, closed_by=line.user)
        if line.action == "erase":
            known = {(item.subject_key, item.token) for item in found if item.open}
            found.extend(_erased(line, token) for token in line.tokens if (line.subject_key, token) not in known)
    return tuple(found)


def _names(line: Tombstone, item: Erased) -> bool:
    return line.subject_key == item.subject_key and item.token in line.tokens


def _erased(line: Tombstone, token: str) -> Erased:
    return Erased(
        token=token,
        subject_key=line.subject_key,
        line=line.seq,
        time=line.time,
        user=line.user,
        key=line.key,
        reason=line.reason,
    )
