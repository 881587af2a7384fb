"""After an erasure: an update chain is built again from before the first version that saw the subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from nbprod.digest import sha256_json
from tests.functional.conftest import Make
from tests.functional.project import Project, parameters
from tests.functional.test_retraining import UPDATE, UPDATED, aliases, git, history

pytestmark = pytest.mark.slow

WHO = "C-77"

PREPARE = """
import pandas as pd

rows = pd.read_csv(raw)
rows.iloc[::2].to_csv(train, index=False)
rows.iloc[1::2].to_csv(test, index=False)
"""

CARD = "license: internal\nsubject: who\n"
PIPELINE = UPDATED.replace(
    '  - forgetting: {metric: accuracy, tolerance: 0.05, slices: ["b > 0.5"]}',
    """  - forgetting: {metric: accuracy, tolerance: 0.1}
  - not_worse_than: {metric: accuracy, tolerance: 0.1}""",
)


def rows(month: int, *, who: str = "") -> str:
    """A table in which y follows from a; one row is of `who`."""
    lines = ["who,a,b,y"]
    for i in range(600):
        value = ((i * 7919 + month) % 1000) / 1000
        name = who if who and i == 100 else f"M{month}-{i}"
        lines.append(f"{name},{value},{(i * 31 % 100) / 100},{int(value > 0.5)}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done, in this order.

    Attributes:
        erased: what the verb said.
        left: folders of ``.nbprod`` that updates read from, after the erasure.
        early: a retraining while the data still hold the subject.
        rebuilt: one after they do not.
    """

    project: Project
    erased: Any
    left: list[str]
    early: Any
    waiting: Any
    rebuilt: Any


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("rebuilding")
    project.write("pipelines/going.yaml", PIPELINE)
    project.write(".gitignore", "data/\nruns/\n.nbprod/\n")
    project.notebook("notebooks/prepare.ipynb", parameters("raw = ''\ntrain = ''\ntest = ''"), PREPARE)
    cell = parameters("train = ''\ntest = ''\nparent = None  # input: goes on from\nreplay = None\npasses: int = 1")
    project.notebook("notebooks/update.ipynb", cell, UPDATE)
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    for month in (1, 2, 3):
        project.write(f"data/2026-0{month}.csv", rows(month, who=WHO if month == 2 else ""))
        project.write(f"data/2026-0{month}.csv.card.yaml", CARD)
        project.document("run", "going", "-p", "raw", f"data/2026-0{month}.csv")
        project.document("promote", f"going/{month}")
    assert (project.root / ".nbprod/parents").is_dir() and (project.root / ".nbprod/replay").is_dir()
    erased = project.document("subject", "erase", "--reason", "asked in March", WHO)
    left = [name for name in ("parents", "replay") if (project.root / ".nbprod" / name).exists()]
    early = project.document("retrain", "going", "--if-stale", code=3)
    project.write("data/2026-02.csv", rows(2))
    waiting = project.document("retrain", "going", "--if-stale", "--dry-run")
    rebuilt = project.document("retrain", "going")
    return Story(project=project, erased=erased, left=left, early=early, waiting=waiting, rebuilt=rebuilt)


def test_an_erasure_says_what_must_be_built_again_and_takes_the_copies_of_updates_away(story: Story) -> None:
    (again,) = story.erased["rebuild"]
    assert (again["seen"], again["start"], again["affected"]) == ("going/2", "going/1", ["going/2", "going/3"])
    assert story.erased["retrain"] == []
    assert story.left == []
    assert [line.partition(",")[0] for line in story.erased["deleted"]] == [".nbprod/parents", ".nbprod/replay"]


def test_while_the_data_hold_the_subject_it_fails_and_the_champion_stays(story: Story) -> None:
    assert (story.early["state"], story.early["trigger"]) == ("failed", "erasure")
    assert "still holds a subject who is erased" in story.early["reason"]
    assert (story.waiting["state"], story.waiting["trigger"]) == ("would", "erasure")


def test_the_chain_is_built_again_from_the_version_that_is_older_than_the_subject(story: Story) -> None:
    assert (story.rebuilt["state"], story.rebuilt["version"]) == ("promoted", "going/5"), story.rebuilt
    digests = {n: sha256_json(story.project.document("show", f"going/{n}")) for n in (1, 4)}
    parents = {n: story.project.document("show", f"going/{n}")["parent"] for n in (4, 5)}
    assert parents == {
        4: {"relation": "incremental", "digest": digests[1]},
        5: {"relation": "incremental", "digest": digests[4]},
    }
    assert aliases(story.project, "going") == {"challenger": "5", "champion": "5"}
    read = [
        item["uri"] for n in (4, 5) for item in story.project.document("show", f"going/{n}")["inputs"]
        if item["name"] == "raw"
    ]  # fmt: skip
    assert read == ["data/2026-02.csv", "data/2026-03.csv"]


def test_what_came_out_learned_from_nobody_who_is_erased_and_the_erasure_can_be_closed(story: Story) -> None:
    (found,) = story.project.document("subject", "find", WHO)
    assert {version["ref"] for version in found["versions"]} == {"going/2", "going/3"}
    assert found["aliases"] == []
    story.project.document("subject", "erase", "--reason", "asked in March", "--delete-copies", WHO)
    story.project.document("subject", "close", WHO)
    last = [action for action, _ in history(story.project, "going")][-6:]
    assert last == ["retrain", "retrain_failed", "retrain", "challenge", "judge", "promote"]
