"""The dataset card: ``<data file>.card.yaml`` beside the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nbprod.document import describe, load_yaml
from nbprod.entities import DatasetCard

LISTS = frozenset({"keywords", "personal", "sensitive"})
KEYS = tuple(field.name for field in dataclasses.fields(DatasetCard))
"""The legal keys of a card."""


def card_path(data: Path) -> Path:
    """Where the card of a data file or folder is."""
    return data.with_name(f"{data.name}.card.yaml")


def read_card(data: Path, *, label: str) -> DatasetCard | None:
    """The card beside a data file; None if there is none, which is allowed and recorded as unknown.

    Args:
        label: what the user calls the data file, for error messages.

    Raises:
        PipelineError: a key is unknown or holds the wrong kind of value; with line and nearest match.
    """
    path = card_path(data)
    if not path.is_file():
        return None
    document = load_yaml(path.read_text(encoding="utf-8"), file=f"{label}.card.yaml")
    content = document.mapping(document.value)
    document.only(content, KEYS)
    values: dict[str, Any] = {}
    for key, value in content.items():
        if value is None:
            continue
        if key in LISTS:
            items = [value] if isinstance(value, str) else value
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                raise document.error(f"{key} must be a list of names, not {describe(value)}.", key)
            values[key] = tuple(items)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            values[key] = str(value).strip()
        else:
            raise document.error(f"{key} must be text, not {describe(value)}.", key)
    return DatasetCard(**values)
