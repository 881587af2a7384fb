"""Rows of earlier training sets for a stage that goes on learning, within the terms of the data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.config import DATA
from nbprod.digest import sha256_json
from nbprod.document import seconds
from nbprod.entities import DatasetCard, ModelVersion
from nbprod.errors import ArtifactError
from nbprod.evidence.card import card_path
from nbprod.gates.contender import read_table
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.workspace import Workspace
from nbprod.retraining.reservoir import sample
from nbprod.store import remove, write_text, written_whole

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "replay"


def reservoir(work: Workspace, chain: Iterable[ModelVersion], *, rows: int) -> str | None:
    """A Parquet file of rows that a chain of versions was trained on, from the project's root; None if there are none.

    The same chain gives the same bytes. What may not be kept is left out, see `allowed`.

    Args:
        chain: newest first.
    """
    own = tuple(chain)
    key = sha256_json({"chain": [version.digest for version in own], "rows": rows})
    place = work.project.data / FOLDER / f"{key}.parquet"
    if not place.is_file():
        tables, cards = _tables(work, own)
        if not tables:
            return None
        with written_whole(place) as part:
            sample(tables, rows=rows).to_parquet(part, index=False)
        if card := merged(cards):
            write_text(card_path(place), json.dumps(card, indent=1) + "\n")  # JSON is YAML
    return f"{DATA}/{FOLDER}/{place.name}"


def _tables(work: Workspace, chain: Iterable[ModelVersion]) -> tuple[dict[str, pd.DataFrame], list[DatasetCard]]:
    from nbprod.lifecycle.services import open_registry

    tables: dict[str, pd.DataFrame] = {}
    cards: list[DatasetCard] = []
    with ExitStack() as stack:
        source = Bytes(work=work, registry=stack.enter_context(open_registry(work.project)), stack=stack)
        for version in chain:
            own = list(cards_of(version.entry))
            if not all(allowed(card, since=version.created) for card in own):
                continue
            for item in version.entry["inputs"]:
                if item["role"] == "train" and item["sha256"] not in tables:
                    try:
                        tables[item["sha256"]] = read_table(source.data(item))
                    except ArtifactError:
                        continue  # erased, or never kept: there is nothing to replay
                    cards.extend(own)
    return tables, cards


def cards_of(entry: Mapping[str, Any]) -> Iterator[DatasetCard]:
    """The cards of everything that a version read from outside."""
    for item in entry["inputs"]:
        if isinstance(item.get("card"), Mapping):
            yield DatasetCard.from_dict(item["card"])


def allowed(card: DatasetCard, *, since: str, now: datetime | None = None) -> bool:
    """Whether rows may be used again in a later training.

    A card forbids it with a ``retention`` of ``none``, or a time such as ``90d`` that has passed since the version was
    registered. Other words are for people to read, and forbid nothing.

    Args:
        since: when the version that used them was registered, in ISO 8601.
    """
    words = card.retention.strip().lower()
    if words in ("none", "no replay"):
        return False
    limit = seconds(words)
    if limit is None or not since:
        return True
    return ((now or datetime.now(UTC)) - datetime.fromisoformat(since)).total_seconds() <= limit


def merged(cards: Iterable[DatasetCard]) -> dict[str, Any]:
    """One card for rows of several datasets: what is said of one column is said of it in all; empty without cards.

    A licence that is not that of all is left out, so that a gate which asks for one does not take a part for the whole.
    """
    own = list(dict.fromkeys(cards))
    if not own:
        return {}
    found: dict[str, Any] = {"origin": "rows of earlier training sets, replayed"}
    for name in ("license", "terms", "subject", "retention", "contact"):
        values = {getattr(card, name) for card in own}
        if len(values) == 1 and (value := values.pop()):
            found[name] = value
    for name in ("personal", "sensitive"):
        if columns := sorted({column for card in own for column in getattr(card, name)}):
            found[name] = columns
    return found


def forget(work: Workspace) -> bool:
    """Remove every file of replayed rows, as after an erasure; they are made anew from what may still be used.

    Returns:
        Whether anything was there.
    """
    return remove(Path(work.project.data, FOLDER))
