"""The dataset cards beside a pipeline's inputs, and whether they say that rows are about people."""

from __future__ import annotations

from nbprod.entities import DatasetCard
from nbprod.evidence.card import card_path, read_card
from nbprod.evidence.subjects import NOBODY
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.workspace import Workspace


def is_personal(card: DatasetCard | None) -> bool:
    """Whether a card says that rows are about people."""
    return card is not None and bool(card.personal or card.sensitive or card.subject.casefold() not in ("", NOBODY))


def cards_of(work: Workspace, bound: Bound) -> dict[str, DatasetCard]:
    """Path, as the pipeline says it -> card, of every outside input that has one.

    Raises:
        PipelineError: a card cannot be read; with file, line and nearest key.
    """
    found = {}
    for item in bound.stages:
        for text in item.files.values():
            path = work.project.root / text
            if "://" not in text and card_path(path).is_file() and (card := read_card(path, label=text)):
                found[text] = card
    return found


def declares_personal(work: Workspace, bound: Bound) -> bool:
    """Whether any outside input of a pipeline is about people, as its card says."""
    return any(is_personal(card) for card in cards_of(work, bound).values())
