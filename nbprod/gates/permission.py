"""What the cards of a version's data allow, and what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.entities import JSON

SHOWN = ("license", "terms", "personal", "sensitive", "subject")
"""What a result repeats of a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What was found, each as a phrase.

    Attributes:
        datasets: uri -> what its card says; None without one.
    """

    refused: tuple[str, ...]
    unknown: tuple[str, ...]
    datasets: dict[str, JSON]


def permitted(entry: Mapping[str, Any], *, allowed: Sequence[str], because: Mapping[str, str]) -> Permission:
    """Hold the cards of an entry against what a project allows.

    Args:
        allowed: licences and terms, whatever their case; empty for any.
        because: column -> why it is a feature.
    """
    inputs = [item for item in entry["inputs"] if not item["stage"] or isinstance(item["card"], Mapping)]
    features = _features(entry)
    refused: list[str] = []
    unknown: list[str] = []
    if not any(not item["stage"] for item in inputs):
        unknown.append("nothing is known of where the data come from")
    datasets: dict[str, JSON] = {}
    for item in inputs:
        uri, card = item["uri"], item["card"]
        if not isinstance(card, Mapping):
            datasets[uri] = None
            unknown.append(f"{uri} has no card")
            continue
        datasets[uri] = {key: card[key] for key in SHOWN if card.get(key)}
        licence = str(card.get("license") or card.get("terms") or "")
        if not licence:
            unknown.append(f"the card of {uri} has neither licence nor terms")
        elif allowed and licence.casefold() not in {text.casefold() for text in allowed}:
            refused.append(f"the licence of {uri}, {_short(licence)}, is none of those that are allowed")
        told = dict(_told(card))
        if told and features is None:
            unknown.append(f"whether the personal columns of {uri} are features: the signature names none")
        for name in features or ():
            if name in told and not str(because.get(name) or "").strip():
                refused.append(f"the feature '{name}' is {told[name]} by the card of {uri}: say why under `because:`")
    return Permission(refused=tuple(refused), unknown=tuple(unknown), datasets=datasets)


def _features(entry: Mapping[str, Any]) -> list[str] | None:
    """The columns that the model takes; None where its signature does not name them."""
    columns = [column.get("name") for column in (entry["model"]["signature"] or {}).get("inputs") or ()]
    return None if not columns or None in columns else [str(name) for name in columns]


def _told(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Column -> what the card calls it, the gravest last."""
    for key in ("personal", "sensitive"):
        for name in card.get(key) or ():
            yield str(name), key
    if card.get("subject"):
        yield str(card["subject"]), "what identifies a person"


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()}..."
