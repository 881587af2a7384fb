"""A version is made again from its commit, its data and its environment; repeats tell the spread of its metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project, parameters

pytestmark = pytest.mark.slow

PIPELINE = """\
name: noisy
stages:
  train:
    notebook: notebooks/train.ipynb
    params: {seed: 3}
    inputs: {train: data/train.csv}
    repeats: 3
  evaluate:
    notebook: notebooks/evaluate.ipynb
    inputs: {model: train.model, test: data/test.csv}
model:
  name: noisy
  from: train.model
  metrics: evaluate
  main_metric: rmse
  data: {train: data/train.csv, test: data/test.csv}
  target: y
gates:
  - reproduced
"""
TRAIN = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod
from shared import noise

rows = pd.read_csv(train)
random = np.random.default_rng(seed)
model = LinearRegression().fit(rows[["a"]], rows["y"] + random.normal(0, 0.1, len(rows)) + noise())
nbprod.log_model(model, example=rows[["a"]].head())
"""
EVALUATE = """
import pandas as pd

import nbprod

rows = pd.read_csv(test)
fitted = nbprod.load_model(model)
nbprod.log_metric("rmse", float(((fitted.predict(rows[["a"]]) - rows["y"]) ** 2).mean() ** 0.5))
"""
SHARED = """
import os
from pathlib import Path


def noise():
    file = Path(os.environ["TMPDIR"], "noise.txt")
    return float(file.read_text()) if file.exists() else 0.0
"""


@pytest.fixture(scope="module")
def project(make_project: Make, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in git with one version, made while a file differed from the commit."""
    made = make_project("reproduce")
    made.environment["TMPDIR"] = str(tmp_path_factory.mktemp("outside"))
    made.write("data/train.csv", "a,y\n" + "".join(f"{n},{2 * n}\n" for n in range(20)))
    made.write("data/test.csv", "a,y\n" + "".join(f"{n},{2 * n}\n" for n in range(20, 30)))
    made.write("pipelines/noisy.yaml", PIPELINE)
    made.write("notebooks/shared.py", "# to be written\n")
    seeded = parameters("train = ''  # input\nseed: int = 0")
    made.notebook("notebooks/train.ipynb", seeded, TRAIN)
    made.notebook("notebooks/evaluate.ipynb", parameters("model = ''  # input\ntest = ''  # input"), EVALUATE)
    git(made, "init", "-q")
    git(made, "add", ".")
    git(made, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "Begin")
    made.write("notebooks/shared.py", SHARED)
    made.document("run")
    return made


def git(project: Project, *words: str) -> str:
    return project.call("git", *words).stdout


def noise(project: Project, text: str) -> Path:
    return project.write(str(Path(project.environment["TMPDIR"], "noise.txt")), text)


def reproduced(project: Project, code: int = 0, *words: str) -> Any:
    return project.document("reproduce", "noisy/1", *words, code=code)


def gate(project: Project, code: int) -> tuple[str, str]:
    (result,) = project.document("gate", "noisy/1", code=code)["results"]
    return result["verdict"], result["reason"]


def test_repeats_are_other_seeds_whose_metrics_stand_beside(project: Project) -> None:
    entry = project.document("show", "noisy/1")
    (rmse,) = entry["metrics"]
    assert rmse["repeats"][0] == rmse["value"]
    assert len(set(rmse["repeats"])) == 3
    assert [stage["name"] for stage in entry["run"]["stages"]] == ["train", "evaluate"]
    assert [(again["name"], again["parameters"].get("seed")) for again in entry["run"]["repeats"]] == [
        ("train~2", 4), ("evaluate~2", None), ("train~3", 5), ("evaluate~3", None),
    ]  # fmt: skip
    assert "3 seeds: 0." in project.nbprod("show", "noisy/1").stdout
    assert sorted(path.name for path in (project.root / "runs/latest").iterdir()) == [
        "evaluate", "evaluate.ipynb", "train", "train.ipynb",
    ]  # fmt: skip


def test_a_second_run_reuses_the_repeats_too(project: Project) -> None:
    again = project.document("run")
    assert {stage["action"] for stage in again["stages"]} == {"reuse"}
    assert again["version"]["version"] == "1"


def test_the_recipe_with_its_uncommitted_changes_gives_the_same_again(project: Project) -> None:
    assert gate(project, 6) == ("undecided", "Nobody ran its recipe again: nbprod reproduce noisy/1")
    before = project.files("notebooks")
    found = reproduced(project)
    assert found["verdict"] == "identical"
    assert found["code"].endswith("with the stored changes")
    assert found["environment"] == "the same as recorded, in all that counts"
    assert {each["what"]: each["agreement"] for each in found["compared"]} == {
        "test/rmse": "identical", "signature": "identical", "predictions": "identical",
    }  # fmt: skip
    assert gate(project, 0) == ("passed", "Metrics, predictions, rows and schema are the recorded ones.")
    assert project.files("notebooks") == before
    assert git(project, "worktree", "list").count("\n") == 1
    assert not list((project.root / ".nbprod").glob("reproducing-*"))
    assert project.document("verify", "noisy/1")["failed"] is False


def test_what_comes_out_otherwise_is_told_and_the_gate_refuses(project: Project) -> None:
    file = noise(project, "0.001")
    assert reproduced(project)["verdict"] == "within tolerance"
    file.write_text("5")
    found = reproduced(project, 6)
    file.unlink()
    assert found["verdict"] == "different"
    assert "test/rmse" in found["reason"]
    assert "predictions" in found["reason"]
    assert gate(project, 6)[0] == "failed"


def test_what_cannot_be_run_again_says_why(project: Project) -> None:
    store = project.root / ".nbprod" / "store"
    data = project.root / "data"
    away = store.rename(store.with_name("away"))
    changed = (data / "test.csv").read_text()
    project.write("data/test.csv", "a,y\n1,2\n")
    try:
        gone = reproduced(project, 4)
    finally:
        away.rename(store)
        project.write("data/test.csv", changed)
    assert gone["verdict"] == "cannot"
    assert "the dataset 'test' is neither in the store nor unchanged at data/test.csv" in gone["reason"]
    noise(project, "no number")
    failing = reproduced(project, 4)
    Path(project.environment["TMPDIR"], "noise.txt").unlink()
    assert "its stage 'train' fails now: ValueError: could not convert string to float" in failing["reason"]
    with_other_git = (project.root / ".git").rename(project.root / "git-away")
    git(project, "init", "-q")
    try:
        lost = reproduced(project, 4)
    finally:
        project.call("rm", "-rf", ".git")
        with_other_git.rename(project.root / ".git")
    assert "is not in this repository: git fetch from where it was made, then try again." in lost["reason"]


def test_code_of_somebody_who_is_not_trusted_is_not_run(project: Project, tmp_path: Path) -> None:
    from tests.functional.project import PROGRAM

    other = project.call(
        *PROGRAM, "reproduce", "noisy/1", "--json", code=4, NBPROD_KEYS=str(tmp_path / "other")
    ).document
    assert other["reason"] == "its code is not run, because its signature is unpinned: nbprod verify noisy/1"


def test_without_a_commit_the_stored_notebooks_are_run(make_project: Make) -> None:
    made = make_project("stored")
    made.write("train.csv", "a,y\n1,2\n2,4\n3,7\n")
    cell = TRAIN.replace("from shared import noise\n", "").replace(" + noise()", "")
    made.notebook("line.ipynb", parameters('train = "train.csv"  # input\nseed: int = 1'), cell)
    made.document("run", "line.ipynb", "-p", "seed", "2")
    (made.root / "line.ipynb").unlink()
    found = made.document("reproduce", "line/1")
    assert found["verdict"] == "identical"
    assert found["code"] == "the stored notebooks, because no commit was recorded"
    assert {each["what"]: each["recorded"] for each in found["compared"]}["predictions"] == "3 rows"
