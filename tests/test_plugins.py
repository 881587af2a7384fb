"""The one door for extensions."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from nbprod.errors import UsageError
from nbprod.plugins import resolve


def install(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Pretend that distributions brought entry points of the group ``nbprod.gates``."""
    points = EntryPoints(EntryPoint(name=name, value=value, group="nbprod.gates") for name, value in values.items())

    def entry_points(**chosen: Any) -> EntryPoints:
        return points.select(**chosen)

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


def refusal(name: str) -> str:
    with pytest.raises(UsageError) as caught:
        resolve("nbprod.gates", name)
    return str(caught.value)


def test_an_extension_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, metric_at_least="json:loads")
    assert resolve("nbprod.gates", "metric_at_least")("[7]") == [7]


def test_ours_come_through_the_same_door() -> None:
    assert resolve("nbprod.executors", "local").__name__ == "execute"


def test_an_extension_is_imported_only_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, good="json:loads", bad="nowhere_to_be_found:f")
    resolve("nbprod.gates", "good")
    assert "nowhere_to_be_found" not in sys.modules


def test_an_unknown_name_gets_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, metric_at_least="json:loads")
    assert refusal("metric_at_last") == (
        "there is no 'metric_at_last' among the extensions of nbprod.gates. Did you mean 'metric_at_least'?"
    )


def test_where_there_are_no_extensions_none_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    assert refusal("psi") == "there is no 'psi' among the extensions of nbprod.gates."


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("nowhere_to_be_found:f", "No module named 'nowhere_to_be_found'"),
        ("json:nothing", "module 'json' has no attribute 'nothing'"),
    ],
)
def test_an_extension_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch, value: str, why: str) -> None:
    install(monkeypatch, bad=value)
    assert refusal("bad") == f"the extension 'bad' of nbprod.gates cannot be imported: {why}."
