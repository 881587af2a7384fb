"""What ``nbprod retrain`` and ``watch`` print, and the exit codes that cron sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from nbprod.cli import cli
from nbprod.cli.retrain import WORDS
from nbprod.entities import GateResult
from nbprod.lifecycle.retrain import Asking, Retrained, State, exit_code
from nbprod.lifecycle.watch import Watching
from tests.cli.made import LOOK, RETRAINED

NOW = Asking(name="churn")
STALE = Asking(name="churn", when="if_stale")


def called(monkeypatch: pytest.MonkeyPatch, found: Retrained, *arguments: str) -> Any:
    """Call the verb with an ending that is made up."""
    monkeypatch.setattr("nbprod.lifecycle.retrain.retrain", lambda asking, tell: found)
    return CliRunner().invoke(cli, ["retrain", "churn", *arguments])


@pytest.mark.parametrize("state", get_args(State))
def test_every_ending_has_a_colour_and_an_exit_code(state: Any) -> None:
    assert state in WORDS
    expected = {"failed": 3, "refused": 6}.get(state, 0)
    assert exit_code(STALE, replace(RETRAINED, state=state)) == expected


def test_another_retraining_is_an_error_only_for_who_asked_for_one_now() -> None:
    busy = replace(RETRAINED, state="busy")
    assert (exit_code(STALE, busy), exit_code(NOW, busy)) == (0, 3)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("promoted", "nbprod history churn"),
        ("challenger", "nbprod promote churn/2"),
        ("refused", "nbprod show churn/2"),
        ("would", "nbprod retrain churn --if-stale"),
    ],
)
def test_the_next_command_fits_the_ending(monkeypatch: pytest.MonkeyPatch, state: Any, step: str) -> None:
    done = called(monkeypatch, replace(RETRAINED, state=state, trigger="age", notes=("a note.",)), "--if-stale")
    assert f"churn: {'would retrain' if state == 'would' else state}: all gates" in done.output
    assert f"next: {step}" in done.stderr
    assert "note: a note." in done.stderr


def test_gates_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = GateResult(gate="size", verdict="failed", reason="too large.", observed=7, required=5)
    done = called(monkeypatch, replace(RETRAINED, state="refused", results=(gate,)))
    assert done.exit_code == 6
    assert "size" in done.output


def test_watching_once_tells_of_each_model_and_ends_with_the_gravest_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(watching: Watching, *, tell: Any) -> Any:
        assert watching.names == ("churn", "going")
        looks = (LOOK, replace(LOOK, name="going", state="failed", code=3, guarded=""))
        for look in looks:
            tell(look)
        return looks

    monkeypatch.setattr("nbprod.lifecycle.watch.once", once)
    done = CliRunner().invoke(cli, ["watch", "churn", "going", "--once"])
    assert done.exit_code == 3
    assert done.stdout.splitlines() == [
        "2026-11-25 00:00  churn  OK  fresh  it is not stale.",
        "                  churn  guard: keep: as good.",
        "2026-11-25 00:00  going  OK  failed  it is not stale.",
    ]


def test_models_are_named_or_all_of_them_are_watched() -> None:
    done = CliRunner().invoke(cli, ["watch", "--all", "churn", "--once"])
    assert str(done.exception) == "name models or say --all, not both."
