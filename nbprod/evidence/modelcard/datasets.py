"""The data that a model was made and measured with: where from, under which terms, about whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbprod.evidence.entry import DERIVED
from nbprod.evidence.modelcard.blocks import Block, Link, Mono, Note, Number, Pairs, Section, Table, Text
from nbprod.evidence.modelcard.words import UNKNOWN, size, told

FACTS = (
    ("Description", "description"), ("Licence", "license"), ("Terms", "terms"), ("Origin", "origin"),
    ("Collection", "collection"), ("Address", "url"), ("Creator", "creator"), ("Publisher", "publisher"),
    ("Published", "datePublished"), ("Covers", "temporalCoverage"), ("Version", "version"), ("Cite as", "citeAs"),
    ("Personal columns", "personal"), ("Sensitive columns", "sensitive"), ("Column of the person", "subject"),
    ("May be kept", "retention"), ("Contact", "contact"),
)  # fmt: skip
"""What a dataset's card says, in the order in which it is told."""

ASKED = frozenset({"license", "terms", "origin", "personal", "sensitive"})
"""What is said to be unknown where a card does not say it."""

PARTS = {"train": "training", "test": "testing", "input": "input"}


def data(entry: Mapping[str, Any]) -> Iterator[Section]:
    """A table of all datasets, and what is declared of each that came from outside."""
    inputs = entry["inputs"]
    if not inputs:
        text = "Unknown: no input is named, so nothing is known of the data that the model learned from."
        yield Section(title="Data", blocks=(Note(text=text),))
        return
    rows = [
        (
            str(item["name"]),
            PARTS.get(item["role"], str(item["role"])),
            f"stage {item['stage']}" if item["stage"] else Mono(item["uri"]),
            Number(f"{item['rows']:,}") if item["rows"] is not None else "-",
            Number(str(len(item["columns"]))) if item["columns"] is not None else "-",
            Number(size(item["bytes"])),
            "yes" if item["kept"] else "no",
            Mono(item["sha256"][:12]),
        )
        for item in inputs
    ]
    head = ("dataset", "use", "from", "rows", "columns", "size", "kept", "sha256")
    blocks: list[Block] = [Table(head=head, rows=rows)]
    derived = [str(item["name"]) for item in inputs if item["card"] == DERIVED]
    if derived:
        text = (
            f"Made by stages: {', '.join(derived)}. What is said below of the data that those read holds for them, too."
        )
        blocks.append(Text(text=text))
    yield Section(title="Data", blocks=blocks)
    for item in inputs:
        if item["card"] != DERIVED:
            yield _described(item)


def _described(item: Mapping[str, Any]) -> Section:
    card = item["card"]
    if not isinstance(card, Mapping):
        text = "It has no card: its origin, licence, terms, and whether it speaks of people are unknown."
        return Section(title=str(item["name"]), blocks=(Note(text=text),), level=3)
    rows = []
    for label, key in FACTS:
        value = told(card.get(key))
        if value == UNKNOWN and key in ("personal", "sensitive"):
            value = "none declared"
        if value != UNKNOWN or key in ASKED:
            rows.append((label, Link(value) if key in ("license", "url") else value))
    title = str(card.get("name") or item["name"])
    return Section(title=title, blocks=(Pairs(rows=rows),), level=3)
