"""Gates, promotion, its history and rollback, on real notebooks and a real registry."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, parameters

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

import nbprod

rows = pd.read_csv(train)
model = LogisticRegression(C=strength).fit(rows[["a", "b"]], rows["y"])
held = pd.read_csv(test)
nbprod.log_metric("accuracy", model.score(held[["a", "b"]], held["y"]))
nbprod.log_metric("sales", 1200.0)
nbprod.log_model(model, example=held[["a", "b"]].head())
"""

PIPELINE = """
name: churn
stages:
  train:
    notebook: notebooks/train.ipynb
    params: {strength: 1.0}
    inputs: {train: data/train.csv, test: data/test.csv}
model:
  name: churn
  from: train.model
  data: {train: data/train.csv, test: data/test.csv}
  target: y
  groups: [g]
gates:
  - metric_at_least: {metric: sales, value: 1000}
  - not_worse_than: {metric: accuracy, tolerance: 0.02}
  - fair: {metric: accuracy, by: g, difference: 0.2}
  - size: {at_most: 1MB}
"""


def rows(count: int, shift: int) -> str:
    """A table in which y follows from a, and the two groups are alike."""
    lines = ["a,b,g,y"]
    for i in range(count):
        value = ((i * 7919 + shift) % 1000) / 1000
        lines.append(f"{value},{(i * 31 % 100) / 100},{'fm'[i % 2]},{int(value > 0.5)}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done, in this order.

    Attributes:
        first: the run that made version 1, without a champion.
        promoted: of version 1.
        second: the run that made version 2, which is worse.
        refused, overridden: of version 2.
        back: to version 1.
    """

    project: Project
    first: Any
    promoted: Any
    second: Any
    refused: Any
    overridden: Any
    back: Any
    history: Any


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("promotion")
    project.write("pipelines/churn.yaml", PIPELINE)
    project.write("data/train.csv", rows(400, 1))
    project.write("data/test.csv", rows(600, 500))
    project.notebook("notebooks/train.ipynb", parameters("train = ''\ntest = ''\nstrength: float = 1.0"), TRAIN)
    first = project.document("run")
    promoted = project.document("promote", "churn/1", "--reason", "the first one")
    second = project.document("run", "-p", "strength", "0.0000001")
    refused = project.nbprod("promote", "churn/2", code=6)
    override = ("--override", "not_worse_than", "--reason", "to see it live")
    overridden = project.document("promote", "churn/2", *override)
    back = project.document("rollback", "churn", "--reason", "it was bad")
    return Story(
        project=project, first=first, promoted=promoted, second=second, refused=refused, overridden=overridden,
        back=back, history=project.document("history", "churn"),
    )  # fmt: skip


def verdicts(results: Any) -> dict[str, str]:
    return {result["gate"]: result["verdict"] for result in results}


def test_a_run_asks_the_gates_of_what_it_registered_and_ends_well_whatever_they_say(story: Story) -> None:
    assert set(verdicts(story.first["gates"]).values()) == {"passed"}
    by_name = {result["gate"]: result for result in story.first["gates"]}
    assert by_name["not_worse_than"]["reason"] == "no champion"
    assert by_name["metric_at_least"]["observed"] == 1200.0
    assert story.second["version"] == {"name": "churn", "version": "2"}
    assert verdicts(story.second["gates"])["not_worse_than"] == "failed"


def test_a_version_is_compared_with_the_champion_on_the_same_rows(story: Story) -> None:
    compared = next(result for result in story.second["gates"] if result["gate"] == "not_worse_than")
    assert compared["observed"] < -0.02
    assert compared["interval"][0] <= compared["observed"] <= compared["interval"][1]
    assert "churn/1" in compared["reason"]


def test_a_refused_promotion_says_why_and_what_to_do_and_moves_nothing(story: Story) -> None:
    said = "error: champion stays where it is, because of churn/2 not_worse_than did not pass: mend it, or take the "
    assert said + "responsibility with --override not_worse_than --reason TEXT" in story.refused.stderr
    assert "failed" in next(line for line in story.refused.stderr.splitlines() if line.startswith("not_worse_than"))
    assert [line["action"] for line in story.history["lines"]] == ["promote", "promote", "rollback"]


def test_an_override_is_recorded_with_its_reason(story: Story) -> None:
    assert story.overridden["overrides"] == ["not_worse_than"]
    line = story.history["lines"][1]
    assert (line["version"], line["before"], line["overrides"]) == ("2", "1", ["not_worse_than"])
    assert line["reason"] == "to see it live"
    assert len(line["gates"]) == len(line["entry"]) == 64


def test_a_rollback_goes_back_to_the_version_before(story: Story) -> None:
    assert (story.back["version"]["version"], story.back["before"]) == ("1", "2")
    aliases = {row["version"]: row["aliases"] for row in story.project.document("models")}
    assert aliases == {"2": [], "1": ["champion"]}


def test_history_tells_the_story_without_mlflow(story: Story) -> None:
    assert (story.history["problems"], story.history["moved"]) == ([], [])
    lines = story.project.nbprod("history", "churn").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["#", "1", "2", "3"]
    assert "overrides not_worse_than: to see it live" in lines[2]
    program = [PROGRAM[0], "-P", "-c", (
        "import sys\nfrom nbprod.lifecycle.history import history\nhistory('churn')\n"
        "print([name for name in ('mlflow', 'pandas', 'sklearn') if name in sys.modules])"
    )]  # fmt: skip
    assert story.project.call(*program).stdout == "[]\n"


def test_what_the_gates_found_is_kept_beside_the_version(story: Story) -> None:
    found = [
        json.loads(content)
        for name, content in story.project.files(".nbprod/artifacts").items()
        if "/statements/" in name
    ]
    kinds = sorted({statement["schema"] for statement in found})
    assert kinds == ["nbprod/gates/1", "nbprod/promotion/1", "nbprod/registration/1"]
    digests = {row["digest"] for row in story.project.document("models")}
    assert {statement["subject"] for statement in found} == digests


def test_the_card_of_a_version_tells_what_was_found_and_done_without_mlflow(story: Story) -> None:
    wanted = "import sys; from nbprod.lifecycle.card import card; card(*sys.argv[1:2], html='c.html', markdown='c.md')"
    check = f"{wanted}; assert not {{'mlflow', 'pandas', 'numpy'}} & set(sys.modules)"
    story.project.call(sys.executable, "-P", "-c", check, "churn/2")
    text = (story.project.root / "c.md").read_text(encoding="utf-8")
    page = (story.project.root / "c.html").read_text(encoding="utf-8")
    for said in ("| not_worse_than accuracy | failed |", "signed by a key that is trusted here", "overriding"):
        assert said in text
    assert "| g=f | 300 |" in text
    assert "**Held against:** churn/1" in text
    assert 'role="img"' in page
    assert all((story.project.root / name).is_file() for name in re.findall(r"\]\(\./(c-[^)]*)\)", text))
    assert story.project.document("show", "churn/2", "--card")["ref"] == "churn/2"


def test_an_alias_that_was_moved_by_hand_is_found(story: Story) -> None:
    client = story.project.registry()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.set_registered_model_alias("churn", "champion", "2")
    said = story.project.nbprod("history", "churn").stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.set_registered_model_alias("churn", "champion", "1")
    assert "the alias 'champion' of 'churn' points at version 2, but the log left it at version 1" in said


def test_gate_exits_with_6_when_one_does_not_pass(story: Story) -> None:
    done = story.project.nbprod("gate", "churn/2", code=6)
    assert "not_worse_than" in done.stdout
    assert story.project.nbprod("gate", "churn/1").stdout.count("passed") == 4


def test_other_gates_make_another_version_of_the_same_model_and_run_nothing(story: Story) -> None:
    story.project.write("pipelines/churn.yaml", PIPELINE.replace("at_most: 1MB", "at_most: 10B"))
    report = story.project.document("run")
    story.project.write("pipelines/churn.yaml", PIPELINE)
    assert {stage["action"] for stage in report["stages"]} == {"reuse"}
    assert report["version"] == {"name": "churn", "version": "3"}
    assert verdicts(report["gates"])["size"] == "failed"
    assert story.project.document("run")["version"] == {"name": "churn", "version": "1"}


def test_a_flipped_byte_keeps_the_gates_from_being_asked(story: Story) -> None:
    model = story.project.registered("churn", "1") / "model.skops"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        said = story.project.nbprod("gate", "churn/1", code=4).stderr
        refused = story.project.nbprod("promote", "churn/1", "--to", "other", code=4).stderr
    finally:
        model.write_bytes(content)
    assert "churn/1 is not what was registered: its file model.skops was changed since" in said
    assert "model.skops was changed" in refused


def test_data_that_are_not_valid_fail_their_stage_before_its_notebook_begins(story: Story) -> None:
    gate = "  - data_valid: {dataset: train.train, columns: {a: {le: 0.5}}}\n"
    story.project.write("pipelines/churn.yaml", PIPELINE.replace("strength: 1.0", "strength: 3.0") + gate)
    report = story.project.document("run", code=3)
    story.project.write("pipelines/churn.yaml", PIPELINE)
    (stage,) = report["stages"]
    assert stage["error"]["message"].startswith("The column 'a' of train must be at most 0.5: ")
    assert stage["executed"] is None


@pytest.mark.slow
def test_of_two_who_promote_at_once_one_wins_and_the_other_is_told(story: Story) -> None:
    started = [
        subprocess.Popen(
            [*PROGRAM, "promote", "churn/1", "--to", alias, "--reason", "race"],
            cwd=story.project.root,
            env=story.project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for alias in ("left", "right")
    ]
    ended = [(process.communicate(timeout=120), process.returncode) for process in started]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 0], [0, 5])  # both, if one was done before the other read the log
    found = story.project.document("history", "churn")
    assert (found["problems"], found["moved"]) == ([], [])
    assert len(found["lines"]) == 3 + codes.count(0)
