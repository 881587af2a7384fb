"""What `nbprod verify` finds: a check for each thing that was held against its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nbprod.entities import Fact

State = Literal["ok", "FAIL", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Fact):
    """One thing that was held against its record.

    Attributes:
        state: ``unknown`` is what cannot be told; it is never shown as ok.
        why: a sentence; empty where all is well.
    """

    name: str
    state: State
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Fact):
    """What was found of a version, or of a folder."""

    ref: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> bool:
        """Whether anything is not as it was recorded."""
        return any(check.state == "FAIL" for check in self.checks)


def of_signature(name: str, key: str, state: str, *, bad: str) -> Check:
    """What a signature is worth; a key that nobody pinned vouches for nothing.

    Args:
        state: as in `nbprod.trust.envelope.Vouched`.
        bad: the sentence for one that was made of something else.
    """
    match state:
        case "ok":
            return Check(name=name, state="ok", why=f"signed with the key {key}.")
        case "unsigned":
            return Check(name=name, state="unknown", why="it is not signed.")
        case "unpinned":
            why = f"signed with the key {key}, which is not pinned: nbprod keys --pin, if you know whose it is."
        case "revoked":
            why = f"signed with the key {key}, which was revoked."
        case _:
            why = bad
    return Check(name=name, state="FAIL", why=why)
