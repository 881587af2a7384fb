"""Replay within the data's terms: what a card forbids, and the card of rows of several datasets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nbprod.entities import DatasetCard
from nbprod.lifecycle.replaying import allowed, cards_of, merged

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("retention", "may"),
    [("", True), ("none", False), ("no replay", False), ("90d", True), ("10d", False), ("as the law says", True)],
)
def test_rows_are_replayed_as_long_as_their_card_allows(retention: str, may: bool) -> None:
    card = DatasetCard(retention=retention)
    assert allowed(card, since="2026-11-01T00:00:00+00:00", now=NOW) is may


def test_cards_of_an_entry_are_those_of_what_came_from_outside() -> None:
    entry = {"inputs": [{"card": {"license": "MIT"}}, {"card": "derived"}, {"card": "unknown"}]}
    assert list(cards_of(entry)) == [DatasetCard(license="MIT")]


def test_one_card_says_of_columns_what_any_says_and_of_the_whole_what_all_say() -> None:
    first = DatasetCard(license="MIT", personal=("name",), subject="id")
    second = DatasetCard(license="CC0-1.0", personal=("mail",), subject="id")
    found = merged([first, second, first])
    assert found["personal"] == ["mail", "name"]
    assert found["subject"] == "id"
    assert "license" not in found
    assert merged([]) == {}
