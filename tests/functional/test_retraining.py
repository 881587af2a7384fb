"""Retraining on real notebooks, a real repository and a real registry: promoted, refused, failed, killed, updated."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import sha256_json
from nbprod.predictions.journal import Journal, Record
from tests.functional.conftest import Make
from tests.functional.project import Project, parameters, wait_for

pytestmark = pytest.mark.slow

PREPARE = """
import time
from pathlib import Path

import pandas as pd

rows = pd.read_csv(raw)
if rows["a"].isna().any():
    raise ValueError("the new data have holes")
if (rows["b"] < 0).all():
    time.sleep(120)
rows.iloc[::2].to_csv(train, index=False)
rows.iloc[1::2].to_csv(test, index=False)
"""

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

import nbprod

rows, held = pd.read_csv(train), pd.read_csv(test)
model = LogisticRegression(C=strength).fit(rows[["a", "b"]], rows["y"])
nbprod.log_metric("accuracy", model.score(held[["a", "b"]], held["y"]))
nbprod.log_model(model, example=held[["a", "b"]].head())
"""

UPDATE = """
import pandas as pd
from sklearn.linear_model import SGDClassifier

import nbprod

rows, held = pd.read_csv(train), pd.read_csv(test)
model = nbprod.load_model(parent) if parent else SGDClassifier(loss="log_loss", random_state=0)
if replay:
    rows = pd.concat([rows, pd.read_parquet(replay)])
for _ in range(passes):
    model.partial_fit(rows[["a", "b"]], rows["y"], classes=[0, 1])
nbprod.log_metric("accuracy", model.score(held[["a", "b"]], held["y"]))
nbprod.log_model(model, example=held[["a", "b"]].head())
"""


def pipeline(name: str, notebook: str, params: str, rest: str) -> str:
    """Two stages, of which the second makes the model."""
    return f"""
name: {name}
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    inputs: {{raw: data/2026-01.csv}}
    outputs: {{train: train.csv, test: test.csv}}
  train:
    notebook: notebooks/{notebook}.ipynb
    params: {{{params}}}
    inputs: {{train: prepare.train, test: prepare.test}}
model:
  name: {name}
  from: train.model
  main_metric: accuracy
  data: {{train: prepare.train, test: prepare.test}}
  target: y
{rest}"""


GATED = """\
gates:
  - metric_at_least: {metric: accuracy, value: 0.9}
retrain:
  when: [new_data]
  data: {prepare.raw: data/2026-*.csv}
  cool_down: 0d
  promote: when_gates_pass
"""
PIPELINE = pipeline("churn", "train", "strength: 10.0", GATED)

GOING_ON = """\
gates:
  - metric_at_least: {metric: accuracy, value: 0.8}
  - forgetting: {metric: accuracy, tolerance: 0.05, slices: ["b > 0.5"]}
update: {from: champion, stage: train, param: parent, replay: 300}
retrain: {when: [], promote: when_gates_pass, cool_down: 0d}
"""
UPDATED = pipeline("going", "update", "passes: 30", GOING_ON)


def rows(shift: int, *, wrong: bool = False, noise: bool = False, b: float = 1.0) -> str:
    """A table in which y follows from a; or its contrary, or nothing."""
    lines = ["a,b,y"]
    for i in range(600):
        value = ((i * 7919 + shift) % 1000) / 1000
        lines.append(f"{value},{b * (i * 31 % 100) / 100},{i * i % 7 % 2 if noise else int((value > 0.5) != wrong)}")
    return "\n".join(lines) + "\n"


def git(project: Project, *words: str) -> str:
    return project.call("git", "-c", "user.name=T", "-c", "user.email=t@example.org", *words).stdout


def history(project: Project, name: str) -> list[tuple[str, str]]:
    return [(line["action"], line["version"]) for line in project.document("history", name)["lines"]]


def aliases(project: Project, name: str) -> dict[str, str]:
    versions = (version for version in project.document("models") if version["name"] == name)
    return {alias: version["version"] for version in versions for alias in version["aliases"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done, in this order.

    Attributes:
        fresh: nothing is new.
        would, promoted: there is a new month.
        refused, again: in the next one nothing can be learned, and the same would come out once more.
        failed: the next has holes.
        killed: the process was killed while the notebook ran.
        last: after that, with good data.
    """

    project: Project
    fresh: Any
    would: Any
    promoted: Any
    refused: Any
    again: Any
    failed: Any
    killed: list[tuple[str, str]]
    champion_after_kill: str
    last: Any
    history: Any


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("retraining")
    project.write("pipelines/churn.yaml", PIPELINE)
    project.write(".gitignore", "data/\nruns/\n.nbprod/\n")
    project.write("data/2026-01.csv", rows(1))
    project.notebook("notebooks/prepare.ipynb", parameters("raw = ''\ntrain = ''\ntest = ''"), PREPARE)
    project.notebook("notebooks/train.ipynb", parameters("train = ''\ntest = ''\nstrength: float = 1.0"), TRAIN)
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    project.document("run", "churn")
    project.document("promote", "churn/1")
    stale = ("retrain", "churn", "--if-stale")
    fresh = project.document(*stale)
    project.write("notebooks/train.ipynb", "this is no notebook any more")  # the recipe is the commit's
    project.write("data/2026-02.csv", rows(2))
    would = project.document(*stale, "--dry-run")
    promoted = project.document(*stale)
    project.write("data/2026-03.csv", rows(3, noise=True))
    refused = project.document(*stale, code=6)
    again = project.document(*stale)
    project.write("data/2026-04.csv", "a,b,y\n,1,0\n1,1,1\n")
    failed = project.document(*stale, code=3)
    project.write("data/2026-05.csv", rows(5, b=-1.0))
    with project.started(*stale) as process:
        wait_for("the notebook runs", lambda: list(project.root.glob(".nbprod/retraining/churn/code/runs/*/prepare")))
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = history(project, "churn")
    champion_after_kill = aliases(project, "churn")["champion"]
    project.write("data/2026-06.csv", rows(6))
    last = project.document(*stale)
    return Story(
        project=project, fresh=fresh, would=would, promoted=promoted, refused=refused, again=again, failed=failed,
        killed=killed, champion_after_kill=champion_after_kill, last=last, history=project.document("history", "churn"),
    )  # fmt: skip


def test_a_model_whose_data_are_the_same_is_fresh(story: Story) -> None:
    assert (story.fresh["state"], story.fresh["trigger"]) == ("fresh", "")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(story: Story) -> None:
    assert (story.would["state"], story.would["trigger"]) == ("would", "new_data")
    assert "data/2026-02.csv" in story.would["reason"]


def test_new_data_make_a_challenger_that_is_promoted_when_its_gates_pass(story: Story) -> None:
    assert (story.promoted["state"], story.promoted["version"]) == ("promoted", "churn/2")
    verdicts = {result["gate"]: result["verdict"] for result in story.promoted["results"]}
    assert verdicts == {"metric_at_least": "passed", "not_worse_than": "passed"}
    entry = story.project.document("show", "churn/2")
    first = story.project.document("show", "churn/1")
    assert entry["parent"] == {"relation": "retrain", "digest": sha256_json(first)}
    git_of = (entry["source"]["git"]["commit"], entry["source"]["git"]["dirty"])
    assert git_of == (first["source"]["git"]["commit"], False)
    assert [item["uri"] for item in entry["inputs"] if not item["stage"]] == ["data/2026-02.csv"]


def test_a_challenger_whose_gates_do_not_pass_stays_one(story: Story) -> None:
    assert (story.refused["state"], story.refused["version"]) == ("refused", "churn/3")
    assert "churn/3" in story.refused["reason"]


def test_what_was_refused_is_not_made_again_of_the_same_data(story: Story) -> None:
    assert (story.again["state"], story.again["trigger"]) == ("fresh", "")
    assert "churn/3 was made of what is there, and is no champion" in story.again["reason"]


def test_a_retraining_that_fails_is_told_with_its_place_and_changes_nothing(story: Story) -> None:
    assert story.failed["state"] == "failed"
    assert "(prepare.raw was data/2026-04.csv)" in story.failed["reason"]
    assert "stage 'prepare' failed in cell 2, line" in story.failed["reason"]
    seen = story.failed["reason"].rpartition("look at ")[2].rstrip(".")
    assert (story.project.root / seen).is_file()
    assert "the new data have holes" in story.failed["reason"]


def test_a_retraining_that_was_killed_leaves_the_champion_and_is_recorded_by_the_next(story: Story) -> None:
    assert story.killed[-1] == ("retrain", "2")
    assert story.champion_after_kill == "2"
    assert not list(story.project.root.glob(".nbprod/retraining/churn"))
    assert "worktree" not in git(story.project, "worktree", "list", "--porcelain").split("\n\n", 1)[1]


def test_everything_that_happened_is_in_the_history_with_its_reason(story: Story) -> None:
    lines = story.history["lines"]
    assert story.history["problems"] == [] and story.history["moved"] == []
    assert [(line["action"], line["version"]) for line in lines] == [
        ("promote", "1"),
        ("retrain", "1"), ("challenge", "2"), ("judge", "2"), ("promote", "2"),
        ("retrain", "2"), ("challenge", "3"), ("judge", "3"),
        ("retrain", "2"), ("retrain_failed", "2"),
        ("retrain", "2"), ("retrain_failed", "2"),
        ("retrain", "2"), ("challenge", "4"), ("judge", "4"), ("promote", "4"),
    ]  # fmt: skip
    assert all(line["reason"] for line in lines[1:])
    assert lines[11]["reason"].endswith("was killed.")
    assert story.last["version"] == "churn/4"


def test_runs_of_a_retraining_are_the_projects_own(story: Story) -> None:
    found = story.project.document("runs")
    assert {run["status"] for run in found} >= {"succeeded", "failed"}
    entry = story.project.document("show", "churn/4")
    assert (story.project.root / "runs" / entry["run"]["id"] / "train.ipynb").is_file()
    checks = story.project.document("verify", "churn/4")
    assert checks["failed"] is False


def test_what_cannot_be_retrained_is_refused(story: Story) -> None:
    done = story.project.nbprod("retrain", "chrun", code=2)
    assert "there is no model 'chrun'" in done.stderr


@pytest.fixture(scope="module")
def updated(story: Story) -> Any:
    """A second model of the same project, which goes on learning."""
    project = story.project
    project.write("pipelines/going.yaml", UPDATED)
    cell = parameters("train = ''\ntest = ''\nparent = None  # input: goes on from\nreplay = None\npasses: int = 1")
    project.notebook("notebooks/update.ipynb", cell, UPDATE)
    first = project.document("run", "going")
    project.document("promote", "going/1")
    second = project.document("run", "going", "-p", "raw", "data/2026-02.csv")
    project.write("data/2026-07.csv", rows(7, wrong=True))
    third = project.document("run", "going", "-p", "raw", "data/2026-07.csv", "-p", "passes", "200")
    return {"project": project, "first": first, "second": second, "third": third}


def test_the_first_version_goes_on_from_nothing(updated: Any) -> None:
    entry = updated["project"].document("show", "going/1")
    assert entry["parent"] is None
    trained = next(stage for stage in entry["run"]["stages"] if stage["name"] == "train")
    assert trained["parameters"]["parent"] is None


def test_an_update_goes_on_from_the_champion_and_the_entry_says_so(updated: Any) -> None:
    project = updated["project"]
    assert updated["second"]["version"] == {"name": "going", "version": "2"}
    entry = project.document("show", "going/2")
    digest = sha256_json(project.document("show", "going/1"))
    assert entry["parent"] == {"relation": "incremental", "digest": digest}
    outside = sorted(item["name"] for item in entry["inputs"] if not item["stage"])
    assert outside == ["raw", "replay"]
    trained = next(stage for stage in entry["run"]["stages"] if stage["name"] == "train")
    assert set(trained["inputs"]) == {"train", "test", "parent", "replay"}
    verdicts = {result["gate"]: result["verdict"] for result in updated["second"]["gates"]}
    assert verdicts == {"metric_at_least": "passed", "forgetting": "passed"}


def test_nothing_runs_again_while_the_champion_is_the_same(updated: Any) -> None:
    plan = updated["project"].document("plan", "going", "-p", "raw", "data/2026-02.csv")
    assert {stage["action"] for stage in plan["stages"]} == {"reuse"}


def test_an_update_that_forgets_is_refused_by_its_gate(updated: Any) -> None:
    results = {result["gate"]: result for result in updated["third"]["gates"]}
    assert results["forgetting"]["verdict"] == "failed"
    assert "is forgotten on test of going/1" in results["forgetting"]["reason"]


def test_an_update_can_be_reproduced_from_its_recorded_parent(updated: Any) -> None:
    project = updated["project"]
    git(project, "add", "-A")
    found = project.document("reproduce", "going/2")
    assert found["verdict"] in ("identical", "within tolerance"), json.dumps(found)[:2000]


def answered(project: Project, version: str, *, right: int) -> None:
    """Let a version have answered 300 rows just now, of which so many turn out to be right."""
    log = Journal(project.root / ".nbprod/predictions/churn", model="churn")
    known = {"columns": ["a", "b"], "rows": [[0.9, 0.5]] * 300}
    record = Record(
        request=log.next_id(), time=time.time(), version=version, role="answer", inputs=json.dumps(known).encode(),
        outputs=json.dumps([1] * 300).encode(), rows=300, latency=0.1, key="",
    )  # fmt: skip
    log.write([record])
    log.close()
    lines = [f"{record.request},{row},{int(row < right)}" for row in range(300)]
    project.write("late.csv", "\n".join(["request,row,truth", *lines]) + "\n")
    project.nbprod("feedback", "churn", "late.csv")


def test_a_promotion_after_which_live_metrics_fell_is_taken_back_by_watch(story: Story) -> None:
    project = story.project
    (project.root / "data/2026-07.csv").unlink(missing_ok=True)  # another test brought it; here nothing is new
    answered(project, "2", right=280)
    answered(project, "4", right=270)
    (kept,) = project.document("watch", "churn", "--once")
    assert kept["guarded"].startswith("keep: accuracy is 0.9 on 300 live rows, and was 0.9333 on 300 with churn/2")
    (row,) = [row for row in project.document("models", "--health") if row["name"] == "churn"]
    assert row["version"] == "4" and not row["why"].startswith("churn/2")  # the guard looked at that, too
    answered(project, "4", right=30)
    (look,) = project.document("watch", "churn", "--once", code=6)
    assert (look["state"], look["version"], look["code"]) == ("rolled back", "churn/4", 6)
    last = project.document("history", "churn")["lines"][-1]
    assert (last["action"], last["alias"], last["version"], last["before"]) == ("rollback", "champion", "2", "4")
    assert last["reason"].startswith("guard: accuracy is 0.5 on 600 live rows")


def test_a_killed_process_left_no_kernel(story: Story) -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(Path(story.project.root, ".nbprod", "retraining")) not in listed
