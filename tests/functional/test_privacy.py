"""Where a card declares personal data, nothing that is published shows a row of them."""

from __future__ import annotations

import json

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project, code, parameters

pytestmark = pytest.mark.slow

SECRET = "ana.souza@example.org"
AGE = 73_219
TRAIN = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

rows = pd.read_csv(people)
print(rows.tail(1).to_string())
model = LinearRegression().fit(rows[["age"]], rows["spent"])
nbprod.log_metric("r2", model.score(rows[["age"]], rows["spent"]), dataset="train")
nbprod.log_model(model, example=rows[["age"]].tail())
rows.tail(1)
"""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project in git, whose notebook shows a person in its saved outputs and prints them when it runs."""
    made = make_project("privacy")
    people = "".join(f"person{n}@example.org,{20 + n % 60},{n % 60 * 3}\n" for n in range(200))
    made.write("people.csv", f"mail,age,spent\n{people}{SECRET},{AGE},5\n")
    made.write("people.csv.card.yaml", "license: none\npersonal: [mail, age, spent]\n")
    for command in (("init", "-q"), ("add", "people.csv.card.yaml")):
        made.call("git", *command)
    made.call("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "Begin")
    shown = {**code("rows.tail(1)"), "outputs": [
        {"output_type": "stream", "name": "stdout", "text": f"{SECRET} {AGE}"}
    ]}  # fmt: skip
    made.notebook("spend.ipynb", parameters('people = "people.csv"  # input'), TRAIN, shown)
    made.document("run", "spend.ipynb")
    return made


def test_no_file_beside_the_registry_shows_a_person(project: Project) -> None:
    published = project.files(".nbprod/artifacts")
    assert any(name.endswith("nbprod/notebooks/spend.ipynb") for name in published)
    assert any(name.endswith("nbprod/source/spend.ipynb") for name in published)
    for name, content in published.items():
        assert SECRET.encode() not in content, name
        assert str(AGE).encode() not in content, name
    assert SECRET in (project.root / "runs/latest/spend.ipynb").read_text()


def test_the_entry_says_so_and_everything_still_holds(project: Project) -> None:
    entry = project.document("show", "spend")
    assert entry["model"]["example_origin"] == "synthetic"
    assert entry["source"]["outputs"] == "stripped"
    assert entry["model"]["example_predictions"] is not None
    assert min(row[0] for row in entry["model"]["example"]["data"]) >= 20
    assert max(row[0] for row in entry["model"]["example"]["data"]) <= 80
    assert [metric["name"] for metric in entry["metrics"]] == ["r2"]
    assert project.document("verify", "spend")["failed"] is False
    assert not list((project.root / ".nbprod" / "published").iterdir())
    notebook = json.loads((project.registered("spend", "1") / "nbprod/notebooks/spend.ipynb").read_text())
    kept = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert [list(output["data"]) for output in kept] == [["application/scrapbook.scrap.json+json"]]


def test_it_can_be_run_again_from_what_was_published(project: Project) -> None:
    found = project.document("reproduce", "spend")
    assert found["verdict"] == "identical"
    assert found["code"].endswith("with the stored changes") or found["code"].startswith("the commit")
