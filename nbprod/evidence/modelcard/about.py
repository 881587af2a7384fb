"""What a model is, what it takes, how to load it, what it is for and what it is not for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbprod.entities import ModelVersion
from nbprod.evidence.modelcard.blocks import Block, Mono, Note, Pairs, Section, Source, Table, Text
from nbprod.evidence.modelcard.front import task_of
from nbprod.evidence.modelcard.words import UNKNOWN, size, told, when

COLUMNS = 60
"""So many of the columns that a model takes are listed."""


def details(version: ModelVersion, said_by: str) -> Section:
    """Who made what, when.

    Args:
        said_by: who registered it, and what their signature is worth.
    """
    entry = version.entry
    model = entry["model"]
    how = f", stored by {model['serialization']}" if model["serialization"] else ""
    task = task_of(entry["metrics"])
    rows = [
        ("Model", version.ref),
        ("Owner", told(entry["owner"])),
        ("Registered", when(version.created)),
        ("Registered by", said_by),
        ("Aliases", told(version.aliases) if version.aliases else "none"),
        ("Kind", f"{model['flavor']}{how}, {size(model['bytes'])}"),
        ("Task", task.replace("-", " ") if task else UNKNOWN),
        ("Predicts", Mono(model["target"]) if model.get("target") else UNKNOWN),
        ("Licence of the model", f"{UNKNOWN}: the entry holds none"),
        ("Sha256 of the entry", Mono(version.digest)),
    ]
    return Section(title="Model details", blocks=(Pairs(rows=rows),))


def usage(version: ModelVersion) -> Iterator[Section]:
    """How to load it, and what it takes."""
    text = (
        f"import nbprod\n\nmodel = nbprod.load_model({_literal(f'models:/{version.ref}')})\n"
        "model.predict(rows)   # rows: a table with the columns below"
    )
    check = "It is loaded only if every byte is the one that was signed. To check all that was recorded of it:"
    command = f"nbprod verify {version.ref}"
    blocks = (Source(language="python", text=text), Text(text=check), Source(language="bash", text=command))
    yield Section(title="How to load it", blocks=blocks)
    yield Section(title="What it takes", blocks=_signature(version.entry), level=3)


def _literal(text: str) -> str:
    """A text as Python writes it between double quotes."""
    return json.dumps(text)


def _signature(entry: Mapping[str, Any]) -> Sequence[Block]:
    signature = entry["model"]["signature"] or {}
    inputs = signature.get("inputs") or []
    if not inputs:
        return (Text(text="Unknown: the model was logged without a signature."),)
    personal, sensitive = declared(entry)
    rows = []
    for column in inputs[:COLUMNS]:
        name = str(column.get("name") or "")
        marks = ["sensitive"] if name in sensitive else ["personal"] if name in personal else []
        optional = [] if column.get("required", True) else ["optional"]
        rows.append((Mono(name) if name else "-", _type(column), ", ".join([*optional, *marks]) or "-"))
    blocks: list[Block] = [Table(head=("column", "type", "note"), rows=rows)]
    if len(inputs) > COLUMNS:
        blocks.append(Text(text=f"And {len(inputs) - COLUMNS:,} more, which the entry lists."))
    if outputs := signature.get("outputs"):
        blocks.append(Pairs(rows=[("Answers", ", ".join(_answer(column) for column in outputs))]))
    return blocks


def declared(entry: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The columns that the cards of its data say are personal, and those that they say are sensitive."""
    cards = [item["card"] for item in entry["inputs"] if isinstance(item["card"], Mapping)]
    found = [frozenset(str(name) for card in cards for name in card.get(key, ())) for key in ("personal", "sensitive")]
    return found[0], found[1]


def _type(column: Mapping[str, Any]) -> str:
    """The type of a column or tensor of a signature."""
    tensor = column.get("tensor-spec")
    if not isinstance(tensor, Mapping):
        return str(column.get("type", UNKNOWN))
    shape = " x ".join("rows" if size == -1 else str(size) for size in tensor["shape"])
    return f"array of {tensor['dtype']} ({shape})"


def _answer(column: Mapping[str, Any]) -> str:
    name = column.get("name")
    return f"{name}: {_type(column)}" if name else _type(column)


def use(entry: Mapping[str, Any]) -> Iterator[Section]:
    """What its owner says of its use, and what follows from its data."""
    yield Section(title="Intended use", blocks=(_said(entry["intended_use"], "what it is for"),))
    blocks: list[Block] = [_said(entry["limitations"], "where it must not be relied on")]
    personal, sensitive = declared(entry)
    inputs = (entry["model"]["signature"] or {}).get("inputs") or []
    taken = [str(column["name"]) for column in inputs if str(column.get("name")) in sensitive]
    if taken:
        blocks.append(Note(text=f"It takes columns of sensitive categories as inputs: {', '.join(taken)}."))
    if personal | sensitive:
        hidden = "its notebooks are published without outputs, and its example is synthetic; " if _hides(entry) else ""
        text = f"It was made from data about people: {hidden}this card shows no rows of it, and none belong here."
        blocks.append(Note(text=text))
    yield Section(title="Limitations", blocks=blocks)


def _hides(entry: Mapping[str, Any]) -> bool:
    """Whether what was registered shows no row of personal data."""
    return bool(entry["source"].get("outputs") == "stripped")


def _said(text: Any, what: str) -> Block:
    said = told(text)
    return Note(text=f"Unknown: nobody said {what}.") if said == UNKNOWN else Text(text=said)


def parameters(values: Mapping[str, Any]) -> str:
    """A stage's parameters in one line."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()) or "-"
