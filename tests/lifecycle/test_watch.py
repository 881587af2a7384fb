"""Watching: what is due, what is kept across restarts, and that one model which fails does not stop the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.errors import RegistryError, UsageError
from nbprod.lifecycle import watch as module
from nbprod.lifecycle.watch import SCHEMA, Kept, Look, Watching, code_of, due, interval, kept, once, read_kept, watch

LOOK = Look(name="churn", at=1000.0, status="OK", reason="it is not stale.")


def test_a_model_is_due_when_it_was_not_looked_at_for_so_long() -> None:
    known = Kept(looks={"churn": LOOK})
    assert due(["churn", "going"], known, every=60.0, now=1059.0) == ("going",)
    assert due(["churn", "going"], known, every=60.0, now=1060.0) == ("churn", "going")


def test_a_clock_that_went_back_makes_a_model_due() -> None:
    assert due(["churn"], Kept(looks={"churn": LOOK}), every=60.0, now=900.0) == ("churn",)


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "watch.json"
    file.write_text(json.dumps(Kept(looks={"churn": LOOK}).to_dict()))
    assert read_kept(file).looks == {"churn": LOOK}


def test_the_first_schema_is_still_read(tmp_path: Path) -> None:
    file = tmp_path / "watch.json"
    file.write_text(
        '{"schema": "nbprod/watch/1", "looks": {"churn": {"name": "churn", "at": 7.0, "state": "promoted"}}}'
    )
    assert read_kept(file).looks["churn"] == Look(name="churn", at=7.0, state="promoted")
    assert SCHEMA == "nbprod/watch/1"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "nbprod/watch/9"}', '{"schema": "nbprod/watch/1", "looks": 7}']
)
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "watch.json"
    file.write_text(text)
    assert read_kept(file) == Kept()
    assert read_kept(tmp_path / "no.json") == Kept()


def test_one_model_that_fails_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(before: Look) -> Look:
        if before.name == "bad":
            raise RegistryError("the registry is away.")
        if before.name == "worse":
            raise ZeroDivisionError("a bug")
        return replace(before, state="refused", code=6)

    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "names_of", lambda watching: watching.names)
    monkeypatch.setattr(module, "_look", look)
    told: list[Look] = []
    found = once(Watching(names=("bad", "worse", "good")), tell=told.append)
    assert [(item.name, item.state, item.code) for item in found] == [
        ("bad", "error", 5), ("worse", "error", 1), ("good", "refused", 6),
    ]  # fmt: skip
    assert tuple(told) == found
    assert kept().looks == {item.name: item for item in found}


def test_it_goes_on_until_it_is_stopped_and_looks_at_what_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise Stopped

    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "names_of", lambda watching: watching.names)
    monkeypatch.setattr(module, "_look", lambda before: before)
    told: list[Look] = []
    with pytest.raises(Stopped):
        watch(Watching(names=("churn",), every="1h"), tell=told.append, sleep=sleep)
    assert [look.name for look in told] == ["churn"]
    assert 0 < waits[0] <= 3600


def test_the_gravest_ending_is_the_exit_code() -> None:
    def looks(*codes: int) -> list[Look]:
        return [replace(LOOK, code=code) for code in codes]

    assert [code_of(looks(*codes)) for codes in ((), (0, 0), (0, 6), (6, 3), (5, 6, 0))] == [0, 0, 6, 3, 5]


def test_an_interval_is_a_time() -> None:
    assert interval("15m") == 900.0
    with pytest.raises(UsageError, match="--every must be a time such as 1h"):
        interval("daily")


def test_an_interval_that_is_none_is_refused_also_where_models_are_looked_at_once() -> None:
    with pytest.raises(UsageError, match="--every must be a time such as 1h or 15m, not '5x'"):
        once(Watching(names=("churn",), every="5x"))
