"""The dataset card: ``<data file>.card.yaml`` beside the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nbprod.document import Document, describe, load_yaml
from nbprod.entities import DatasetCard
from nbprod.errors import PipelineError

LISTS = frozenset({"keywords", "personal", "sensitive"})
KEYS = tuple(field.name for field in dataclasses.fields(DatasetCard))
"""The legal keys of a card."""


def card_path(data: Path) -> Path:
    """Where the card of a data file or folder is."""
    return data.with_name(f"{data.name}.card.yaml")


def read_card(data: Path, *, label: str) -> DatasetCard | None:
    """The card beside a data file; None if there is none, which is allowed and recorded as unknown.

    Args:
        data: the data file or folder.
        label: what the user calls the data file, for error messages.

    Raises:
        PipelineError: a key is unknown or holds the wrong kind of value; with line and nearest match.
    """
    path, file = card_path(data), f"{label.rstrip('/')}.card.yaml"
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"cannot be read as a UTF-8 text file ({error}).", file=file) from error
    document = load_yaml(text, file=file)
    content = document.mapping(document.value)
    document.only(content, KEYS)
    values: dict[str, Any] = {key: _value(key, value, document) for key, value in content.items() if value is not None}
    return DatasetCard(**values)


def _value(key: str, value: Any, document: Document) -> str | tuple[str, ...]:
    """A card's value as its key wants it; one name stands for a list of one."""
    if key in LISTS:
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, (str, int)) and not isinstance(item, bool) for item in items):
            raise document.error(f"{key} must be a list of names, not {describe(value)}.", key)
        return tuple(str(item).strip() for item in items)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value).strip()
    raise document.error(f"{key} must be text, not {describe(value)}.", key)
