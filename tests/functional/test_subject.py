"""A person asks to be forgotten: found, erased, blocked, proven to be gone; nothing that is published shows rows."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Done, Project, parameters

WHO = "C-1005"
SECRET = "Rua-do-Segredo-77"
"""A street that only one row has; the notebooks print it and log a table with it."""

CARD = "license: internal\npersonal: [age, street]\nsubject: customer\n"

PREPARE = """
import pandas as pd
import nbprod

rows = pd.read_csv(raw)
rows[:40].to_parquet(train)
rows[40:].drop(columns="customer").to_parquet(test)
nbprod.log_artifact(rows, name="rows.csv")  # the very bytes of the data
print(rows.to_string())
"""

TRAIN = """
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import nbprod

rows, held = pd.read_parquet(train), pd.read_parquet(test)
features = ["age", "income", "city", "street"]
encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city", "street"]), remainder="passthrough")
model = make_pipeline(encode, LogisticRegression(max_iter=5000)).fit(rows[features], rows["left"])
nbprod.log_metric("accuracy", model.score(held[features], held["left"]))
nbprod.log_model(model, example=rows[features].head())
print(rows.to_string())
"""

PIPELINE = """
name: churn
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    inputs: {raw: data/customers.csv}
    outputs: {train: train.parquet, test: test.parquet}
  train:
    notebook: notebooks/train.ipynb
    inputs: {train: prepare.train, test: prepare.test}
model:
  name: churn
  from: train.model
  data: {train: prepare.train, test: prepare.test}
  target: left
gates:
  - metric_at_least: {metric: accuracy, value: 0}
"""


def customers() -> str:
    lines = ["customer,age,income,city,street,left"]
    for i in range(60):
        street = SECRET if i == 3 else "Rua Direita"
        lines.append(
            f"C-{1000 + i},{20 + i % 40},{1000 + 13.37 * i},{('Lisboa', 'Porto')[i % 2]},{street},{int(i % 7 > 3)}"
        )
    return "\n".join(lines) + "\n"


@dataclass(kw_only=True)
class Story:
    """What was done, in this order; `said` maps a name to how the verb ended."""

    project: Project
    said: dict[str, Done] = field(default_factory=dict)

    def nbprod(self, name: str, *arguments: str, given: str = "", code: int = 0) -> Done:
        """Run a verb with something on its standard input."""
        ended = subprocess.run(
            [*PROGRAM, *arguments], cwd=self.project.root, env=self.project.environment, input=given,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        done = Done(code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
        assert done.code == code, f"{arguments} exited with {done.code}\n{done.stdout}\n{done.stderr}"
        self.said[name] = done
        return done


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("forgotten")
    project.write("pipelines/churn.yaml", PIPELINE)
    data = project.write("data/customers.csv", customers())
    project.write("data/customers.csv.card.yaml", CARD)
    project.notebook("notebooks/prepare.ipynb", parameters("raw = ''\ntrain = ''\ntest = ''"), PREPARE)
    project.notebook("notebooks/train.ipynb", parameters("train = ''\ntest = ''"), TRAIN)
    told = Story(project=project)
    told.nbprod("run", "run", "--json")
    told.nbprod("promoted", "promote", "churn/1", "--reason", "the first one")
    told.nbprod("found", "subject", "find", "--json", given=f"{WHO}\nC-9999\n")
    told.nbprod("erased", "subject", "erase", "--reason", "asked in March", given=WHO)
    told.nbprod("blocked", "run", code=2)
    told.nbprod("challenged", "promote", "churn/1", "--to", "challenger", code=6)
    told.nbprod("overridden", "promote", "churn/1", "--to", "x", "--override", "gates", "--reason", "no", code=6)
    told.nbprod("early", "subject", "close", given=WHO, code=6)
    data.write_text("".join(line for line in customers().splitlines(True) if not line.startswith(f"{WHO},")))
    told.nbprod("again", "run", "--json")
    told.nbprod("new", "promote", "churn/2", "--reason", "without")
    told.nbprod("back", "rollback", "churn", code=6)
    told.nbprod("reproduced", "reproduce", "churn/1", "--json", code=4)
    told.nbprod("deleted", "subject", "erase", "--reason", "asked in March", "--delete-copies", "--json", given=WHO)
    told.nbprod("closed", "subject", "close", given=WHO)
    told.nbprod("list", "subject", "list", "--json")
    told.nbprod("after", "run", "--json")
    told.nbprod("still", "rollback", "churn", code=6)
    return told


def test_the_subject_is_found_in_data_outputs_models_and_versions(story: Story) -> None:
    found, nobody = story.said["found"].document
    states = {(place["role"], Path(place["uri"]).name): place["state"] for place in found["places"]}
    assert states == {
        ("data", "customers.csv"): "holds", ("output", "train.parquet"): "holds", ("output", "test.parquet"): "derived",
        ("model", "model"): "derived", ("notebook", "prepare.ipynb"): "derived",
        ("notebook", "train.ipynb"): "derived",
    }  # fmt: skip
    (version,) = found["versions"]
    assert (version["ref"], version["how"], found["aliases"]) == (
        "churn/1",
        ["derived", "test", "train"],
        ["churn@champion"],
    )
    assert (nobody["places"], nobody["versions"], nobody["unknown"]) == ([], [], [])


def test_a_run_on_data_that_hold_the_subject_is_refused_before_it_begins(story: Story) -> None:
    said = story.said["blocked"].stderr
    assert "error: data/customers.csv: still holds a subject who is erased (tombstone 1, token " in said
    assert "remove the rows of that subject from the file, then run again." in said
    assert story.said["again"].document["version"] == {"name": "churn", "version": "2"}


@pytest.mark.parametrize("name", ["challenged", "overridden", "back", "still"])
def test_no_alias_moves_to_what_learned_from_the_subject_not_even_later(story: Story, name: str) -> None:
    assert "error: no alias moves to churn/1: churn/1 was made from data that held a subject" in story.said[name].stderr
    aliases = {row["version"]: row["aliases"] for row in story.project.document("models")}
    assert aliases == {"2": ["champion"], "1": []}


def test_what_learned_from_the_subject_is_not_run_again(story: Story) -> None:
    assert story.said["reproduced"].document["verdict"] == "cannot"


def test_an_erasure_is_closed_only_when_nothing_is_left(story: Story) -> None:
    left = [line for line in story.said["early"].stderr.splitlines() if line.startswith("left: ")]
    assert len(left) == 12
    assert "left: the alias 'champion' points at churn/1, which learned from the subject" in story.said["early"].stderr
    assert story.said["closed"].stdout == "closed: tombstone 1\n"
    (item,) = story.said["list"].document["erased"]
    assert (item["closed"] != "", item["reason"]) == (True, "asked in March")
    assert {stage["action"] for stage in story.said["after"].document["stages"]} == {"reuse"}


def test_the_copies_are_gone_and_the_new_version_is_whole(story: Story) -> None:
    done = story.said["deleted"].document
    assert (done["new"], done["trace"]["copies"]) == (False, [])
    old = story.said["run"].document["run"]
    assert sorted(path.name for path in (story.project.root / "runs" / old).iterdir()) == ["run.json"]
    story.project.nbprod("verify", "churn/2")


def test_the_id_is_written_nowhere(story: Story) -> None:
    cache = Path(story.project.environment["XDG_CONFIG_HOME"])
    folders = [story.project.root / ".nbprod", story.project.root / "runs", cache]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [str(path) for path in files if WHO.encode() in path.read_bytes()] == []
    assert WHO not in "".join(done.stdout + done.stderr for done in story.said.values())


def test_nothing_that_is_published_shows_a_row(story: Story) -> None:
    published = story.project.files(".nbprod/artifacts")
    needed = {name for name in published if name.endswith((".skops", "tree_path"))}  # the model knows its categories
    assert [name for name in published if name not in needed and SECRET.encode() in published[name]] == []
    names = {Path(name).name for name in published}
    assert {"prepare.ipynb", "train.ipynb", "input_example.json", "nbprod.json"} <= names
    assert "rows.csv" not in names


def test_the_example_is_nobodys_row_and_the_entry_says_so(story: Story) -> None:
    entry = story.project.document("show", "churn/2")
    assert entry["model"]["example_origin"] == "synthetic"
    real = {tuple(line.split(",")[1:5]) for line in customers().splitlines()[1:]}
    example = entry["model"]["example"]
    assert example["columns"] == ["age", "income", "city", "street"]
    assert not real & {tuple(map(str, row)) for row in example["data"]}
    assert len(entry["model"]["example_predictions"]) == len(example["data"])


def test_a_subject_column_that_is_not_there_stops_a_run_with_its_card(story: Story) -> None:
    card = story.project.root / "data" / "customers.csv.card.yaml"
    card.write_text(CARD.replace("customer", "costumer"))
    said = story.project.nbprod("run", code=2).stderr
    card.write_text(CARD)
    assert "error: data/customers.csv.card.yaml: subject is 'costumer', but the data file has no column" in said
    assert "Did you mean 'customer'?" in said


def test_two_who_erase_at_once_both_do(story: Story) -> None:
    def begin(id: str) -> subprocess.Popen[Any]:
        command = [*PROGRAM, "subject", "erase", "--reason", "at once", id]
        return subprocess.Popen(command, cwd=story.project.root, env=story.project.environment, stdout=subprocess.PIPE)

    both = [begin("X-1"), begin("X-2")]
    assert [process.wait(240) for process in both] == [0, 0]
    for process in both:
        process.communicate()
    found = story.project.document("subject", "list")
    assert found["problems"] == []
    assert sorted(item["line"] for item in found["erased"]) == [1, 3, 4]


def test_a_lost_subject_key_is_said_and_stops_runs_on_people(story: Story) -> None:
    (key,) = Path(story.project.environment["XDG_CONFIG_HOME"]).rglob("subjects.key")
    secret = key.read_bytes()
    key.unlink()
    said = story.project.nbprod("run", code=2).stderr
    key.write_bytes(secret)
    assert "may hold a subject who is erased (tombstone 3, token " in said
    assert "bring it back from a copy or get it from" in said
    story.project.nbprod("run")
