"""Deciding what must run, in words, without running anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nbprod.entities import StageRun
from nbprod.pipeline.bind import Setting
from nbprod.store import LocalObjects
from tests.fakes import Lab

TWO = """\
name: p
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    params: {rows: 3}
    inputs: {raw: data.csv}
    outputs: {train: train.csv}
  train:
    notebook: notebooks/train.ipynb
    inputs: {train: prepare.train}
"""


@pytest.fixture
def two(lab: Lab) -> Lab:
    """Two stages, which have run once."""
    lab.file("data.csv")
    lab.notebook("prepare", "write(train, read(raw)[:rows])", parameters="raw = ''\ntrain = ''\nrows = 10")
    lab.notebook("train", "x = len(read(train))", parameters="train = ''\nrate = 0.1")
    lab.pipeline(TWO)
    assert lab.run().status == "succeeded"
    return lab


def decided(lab: Lab, *settings: Setting, forced: tuple[str, ...] = ()) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Stage -> what would be done, and why."""
    return {name: (d.action, d.reasons) for name, d in lab.plan(*settings, forced=forced).items()}


def the_run(lab: Lab) -> str:
    return lab.index.runs()[0].id


def test_what_never_ran_runs_and_what_needs_it_runs_after_it(lab: Lab) -> None:
    lab.file("data.csv")
    lab.notebook("prepare", "pass", parameters="raw = ''\ntrain = ''\nrows = 10")
    lab.notebook("train", "pass", parameters="train = ''")
    assert decided(lab.pipeline(TWO)) == {
        "prepare": ("run", ("it never ran",)),
        "train": ("run", ("prepare runs before it",)),
    }


def test_what_did_not_change_is_reused_from_the_run_that_made_it(two: Lab) -> None:
    reason = (f"same key as run {the_run(two)}",)
    assert decided(two) == {"prepare": ("reuse", reason), "train": ("reuse", reason)}
    assert {d.previous for d in two.plan().values()} == {the_run(two)}


def test_planning_runs_nothing_and_writes_no_run(two: Lab) -> None:
    two.executor.executed.clear()
    two.plan(Setting(name="rows", value=2, origin="-p"))
    assert (two.executor.executed, len(two.index.runs())) == ([], 1)


def test_a_changed_value_is_told_with_both_values(two: Lab) -> None:
    found = decided(two, Setting(name="rows", value=2, origin="-p"))
    assert found == {"prepare": ("run", ("rows: 3 -> 2",)), "train": ("run", ("prepare runs before it",))}


def test_a_change_in_the_last_stage_runs_only_it(two: Lab) -> None:
    found = decided(two, Setting(name="rate", value=0.5, origin="-p"))
    assert found["prepare"][0] == "reuse"
    assert found["train"] == ("run", ("rate: the notebook's default -> 0.5",))


def test_changed_data_are_told_by_the_inputs_name(two: Lab) -> None:
    two.file("data.csv", "other data")
    assert decided(two)["prepare"] == ("run", ("input raw changed",))


def test_changed_code_is_told(two: Lab) -> None:
    two.notebook("train", "x = 2 * len(read(train))", parameters="train = ''\nrate = 0.1")
    assert decided(two)["train"] == ("run", ("code of the notebook",))


def test_comments_and_blank_lines_change_nothing(two: Lab) -> None:
    two.notebook("train", "x = len(read(train))   # rows\n\n", parameters="train = ''\nrate = 0.1")
    assert decided(two)["train"][0] == "reuse"


def test_several_changes_are_all_told(two: Lab) -> None:
    two.file("data.csv", "other data")
    found = decided(two, Setting(name="rows", value=2, origin="-p"))
    assert found["prepare"][1] == ("rows: 3 -> 2", "input raw changed")


def test_what_is_forced_runs(two: Lab) -> None:
    found = decided(two, forced=("prepare",))
    assert found == {"prepare": ("run", ("--force",)), "train": ("run", ("prepare runs before it",))}


def test_refresh_always_runs_always(two: Lab) -> None:
    two.pipeline(TWO.replace("    params: {rows: 3}\n", "    params: {rows: 3}\n    refresh: always\n"))
    assert decided(two)["prepare"] == ("run", ("refresh: always",))


@pytest.mark.parametrize(("hours", "action"), [(23, "reuse"), (25, "run")])
def test_refresh_by_age_runs_what_is_older(two: Lab, hours: int, action: str) -> None:
    two.pipeline(TWO.replace("    params: {rows: 3}\n", "    params: {rows: 3}\n    refresh: 1d\n"))
    result = two.plan()["prepare"].result or two.index.last_result("p", "prepare")
    assert result is not None
    two.index.save_result(aged(result, hours))
    found = decided(two)["prepare"]
    assert found[0] == action
    assert action == "reuse" or found[1] == ("older than refresh: 1d",)


def aged(result: StageRun, hours: int) -> StageRun:
    return replace(result, ended=(datetime.now(UTC) - timedelta(hours=hours)).isoformat())


def test_a_result_whose_bytes_are_lost_runs_again(two: Lab) -> None:
    made = two.index.last_result("p", "prepare")
    assert made is not None
    assert isinstance(two.store.objects, LocalObjects)
    two.store.objects.path(made.outputs["train"].sha256).unlink()
    assert decided(two) == {
        "prepare": ("run", ("its train is no longer in the store",)),
        "train": ("run", ("prepare runs before it",)),
    }


def test_a_result_whose_executed_notebook_is_lost_runs_again(two: Lab) -> None:
    made = two.index.last_result("p", "train")
    assert made is not None
    assert made.executed is not None
    assert isinstance(two.store.objects, LocalObjects)
    two.store.objects.path(made.executed.sha256).unlink()
    assert decided(two)["train"] == ("run", ("its train.ipynb is no longer in the store",))


def test_going_back_to_an_earlier_value_reuses_its_result(two: Lab) -> None:
    first = the_run(two)
    two.run(Setting(name="rows", value=2, origin="-p"))
    assert decided(two)["prepare"] == ("reuse", (f"same key as run {first}",))


def test_a_stage_that_failed_is_not_reused(lab: Lab) -> None:
    lab.notebook("a", "1 / 0")
    lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb}}")
    assert lab.run().status == "failed"
    assert decided(lab) == {"a": ("run", ("it never ran",))}


def test_another_pipelines_stage_of_the_same_key_is_reused(two: Lab) -> None:
    two.pipeline(TWO.replace("name: p", "name: q"))
    assert decided(two)["prepare"] == ("reuse", (f"same key as run {the_run(two)}",))
