"""Models that may and may not become a version: defined in the notebook, not trusted, not to be replayed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Done, Project, actions, code, parameters

DATA = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import nbprod

X = pd.DataFrame({"a": np.arange(10.0), "b": np.arange(10.0) % 3})
y = X["a"] + X["b"]
"""

WITH_LAMBDA = """
model = make_pipeline(FunctionTransformer(lambda rows: rows * 2), LinearRegression()).fit(X, y)
nbprod.log_model(model, example=X.head())
"""

WITH_CLASS = """
class Tripled(LinearRegression):
    def predict(self, X):
        return 3 * super().predict(X)

nbprod.log_model(Tripled().fit(X, y), example=X.head())
"""

WITH_MODULE = """
from shapes.doubling import Doubled

nbprod.log_model(Doubled().fit(X, y), example=X.head())
nbprod.log_metric("slope", 1.0)
"""

DOUBLING = """
from sklearn.linear_model import LinearRegression

from shapes.factor import FACTOR


class Doubled(LinearRegression):
    def predict(self, X):
        return FACTOR * super().predict(X)
"""

AT_HOME = """
import os

from sklearn.linear_model import LinearRegression


class AtHome(LinearRegression):
    def predict(self, X):
        return super().predict(X) + len(os.environ["NBPROD_STAGE"])
"""

MODEL = """
model: {name: doubled, from: train.model}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done with one project, in this order.

    Attributes:
        refused: a run of one notebook that tries to log three models that cannot be kept.
        trusted: a run whose pipeline trusts the project's class.
    """

    project: Project
    refused: Any
    trusted: Done


def write_pipeline(project: Project, name: str, notebooks: dict[str, str], more: str = "") -> None:
    """Write a pipeline of stages without inputs."""
    listed = "".join(f"  {stage}: {{notebook: notebooks/{file}.ipynb}}\n" for stage, file in notebooks.items())
    project.write(f"pipelines/{name}.yaml", f"name: {name}\nstages:\n{listed}{more}")


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("models")
    project.write("notebooks/shapes/__init__.py", "")
    project.write("notebooks/shapes/doubling.py", DOUBLING)
    project.write("notebooks/shapes/factor.py", "FACTOR = 2\n")
    project.notebook(
        "notebooks/refused.ipynb",
        DATA,
        code(WITH_LAMBDA, "raises-exception"),
        code(WITH_CLASS, "raises-exception"),
        WITH_MODULE,
    )
    project.notebook("notebooks/with_module.ipynb", DATA, WITH_MODULE, parameters('rows = "x"  # input'))
    write_pipeline(project, "refused", {"train": "refused"}, MODEL)
    refused = project.document("run", "refused", code=3)
    trusts = MODEL.replace("}", ", trusted: [shapes.doubling.Doubled]}")
    project.write("data/rows.csv", "a\n1\n")
    write_pipeline(project, "doubled", {"train": "with_module"}, trusts)
    pipeline = project.root / "pipelines" / "doubled.yaml"
    unkept = ".ipynb, inputs: {rows: {path: data/rows.csv, keep: false}}}"
    pipeline.write_text(pipeline.read_text().replace(".ipynb}", unkept))
    return Story(project=project, refused=refused, trusted=project.nbprod("run", "doubled"))


def message(story: Story, words: str) -> str:
    """What the cell that holds these words said when it failed."""
    (stage,) = story.refused["stages"]
    cells = story.project.read(stage["executed"])["cells"]
    (cell,) = [cell for cell in cells if cell["cell_type"] == "code" and words in "".join(cell["source"])]
    (error,) = [output for output in cell["outputs"] if output["output_type"] == "error"]
    return f"{error['ename']}: {error['evalue']}"


def test_a_lambda_from_the_notebook_is_named_with_the_advice_to_move_it(story: Story) -> None:
    said = message(story, "lambda rows")
    assert "lambda" in said
    assert "module" in said


def test_a_class_from_the_notebook_is_named_with_the_advice_to_move_it(story: Story) -> None:
    said = message(story, "class Tripled")
    assert "the model holds Tripled, defined in the notebook" in said
    assert "module" in said


def test_a_type_that_nobody_trusts_is_named_with_what_to_write(story: Story) -> None:
    said = message(story, "import Doubled")
    (stage,) = story.refused["stages"]
    assert (stage["status"], stage["error"]["cell"], stage["error"]["message"]) == ("failed", 4, said)
    assert said.startswith("UntrustedTypes: ")
    assert "shapes.doubling.Doubled" in said
    assert "trusted" in said


def test_nothing_was_registered_of_models_that_were_refused(story: Story) -> None:
    assert story.refused["version"] is None
    assert [row["name"] for row in story.project.document("models")] == ["doubled"]


def test_a_type_that_the_pipeline_trusts_becomes_part_of_the_entry(story: Story) -> None:
    assert story.trusted.stdout == "registered: doubled/1\n"
    entry = story.project.document("show", "doubled/1")
    assert entry["model"]["trusted"] == ["shapes.doubling.Doubled"]
    assert "trusted: [shapes.doubling.Doubled]" in entry["pipeline"]["text"]


def test_data_that_is_not_to_be_kept_is_said_to_be_gone_but_known_by_its_digest(story: Story) -> None:
    (rows,) = story.project.document("show", "doubled/1")["inputs"]
    assert rows["kept"] is False
    assert rows["bytes"] == 4
    done = story.project.nbprod("fetch", "doubled/1", "rows", code=4)
    assert "was not kept" in done.stderr
    assert rows["sha256"] in done.stderr


def test_the_projects_modules_travel_with_the_model_and_answer_without_the_project(story: Story) -> None:
    folder = story.project.registered("doubled", "1")
    travelled = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert {name.removeprefix("code/") for name in travelled} >= {"shapes/doubling.py", "shapes/factor.py"}
    elsewhere = story.project.root.parent / "elsewhere"
    shutil.copytree(folder, elsewhere / "model")
    ask = (
        "import json, sys, mlflow.pyfunc, pandas\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "rows = pandas.DataFrame({'a': [1.0, 2.0], 'b': [0.0, 1.0]})\n"
        "print(json.dumps([round(float(x), 6) for x in model.predict(rows)]))"
    )
    hidden = (story.project.root / "notebooks").rename(story.project.root / "moved")
    try:
        done = story.project.call(
            sys.executable, "-P", "-c", ask, str(elsewhere / "model"), folder=elsewhere, MLFLOW_DISABLE_TELEMETRY="true"
        )
    finally:
        hidden.rename(story.project.root / "notebooks")
    assert json.loads(done.stdout.splitlines()[-1]) == [2.0, 6.0]


@pytest.mark.slow
def test_a_model_that_works_only_in_its_stage_is_not_registered(make_project: Make) -> None:
    project = make_project("at-home")
    project.write("notebooks/home.py", AT_HOME)
    project.notebook(
        "notebooks/at_home.ipynb",
        DATA,
        "from home import AtHome\nnbprod.log_model(AtHome().fit(X, y), example=X.head())",
    )
    write_pipeline(project, "at_home", {"train": "at_home"}, MODEL.replace("}", ", trusted: [home.AtHome]}"))
    for planned in ("run", "reuse"):  # the run was well, so the second time only registering is tried again
        assert actions(project.document("plan")) == {"train": planned}
        done = project.nbprod("run", code=4)
        assert "the model can be loaded outside the project but not answer its example there" in done.stderr
        assert "NBPROD_STAGE" in done.stderr
        assert "Traceback" not in done.stderr
        assert ("or run it again with --force" in done.stderr) == (planned == "reuse")
    assert [run["status"] for run in project.document("runs")] == ["succeeded"]
    assert project.document("models") == []
