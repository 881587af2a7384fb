"""What a project demands of every version before it is promoted, beside the gates of its pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nbprod.entities import GateResult, ModelVersion

GATES = "gates"
"""The demand that there is a gate at all; without `strict` the only one."""


UNSIGNED = {
    "unsigned": "it is not signed",
    "unpinned": "it is signed with a key that you did not pin: nbprod keys --pin",
    "revoked": "it is signed with a key that was revoked",
}
"""What a signature is worth -> why that does not do in a strict project."""


def requirements(version: ModelVersion, *, gated: int, strict: bool, signed: str = "ok") -> tuple[GateResult, ...]:
    """The demands that a version does not meet.

    Args:
        version: with its entry.
        gated: how many gates it has.
        strict: whether signatures, cards and clean source are demanded, too.
        signed: what its signature is worth, as `nbprod.trust.folder.Checked` says it.
    """
    found = [] if gated else [_missing(GATES, "it has no gates, so nothing was measured against anything")]
    if strict:
        if signed != "ok":
            found.append(_missing("signed", UNSIGNED.get(signed, "its signature is not good")))
        found.extend(_missing(name, reason) for name, why in STRICT.items() if (reason := why(version.entry)))
    return tuple(found)


def _missing(name: str, reason: str) -> GateResult:
    return GateResult(gate=name, verdict="failed", reason=f"{reason}.")


def _signature(entry: dict[str, Any]) -> str:
    signature = entry["model"]["signature"] or {}
    return "" if signature.get("inputs") else "the model does not say what it takes: log it with an example"


def _cards(entry: dict[str, Any]) -> str:
    bare = [item["uri"] for item in _outside(entry) if not isinstance(item["card"], dict)]
    if not entry["inputs"]:
        return "nothing is known of the data that it learned from"
    return f"there is no dataset card for {', '.join(bare)}" if bare else ""


def _outside(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The inputs that no stage made."""
    return (item for item in entry["inputs"] if not item["stage"])


def _clean_source(entry: dict[str, Any]) -> str:
    git = entry["source"]["git"]
    if entry["source"]["measured"] == "after_run":
        return "what its code was when it ran is not known, because it was registered afterwards"
    if not isinstance(git, dict):
        return "its code is in no commit"
    return "its code differed from the commit: commit it, and run again" if git["dirty"] else ""


STRICT: dict[str, Callable[[dict[str, Any]], str]] = {
    "signature": _signature,
    "cards": _cards,
    "clean_source": _clean_source,
}
"""What a strict project demands -> why an entry does not meet it; empty if it does."""
