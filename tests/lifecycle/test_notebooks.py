"""One notebook as a pipeline of one stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbprod.entities import Artifact, ModelSpec, Pipeline, Stage, StageRun
from nbprod.errors import UsageError
from nbprod.lifecycle.notebooks import (
    expected_model,
    model_of,
    pipeline_of_notebook,
    save_pipeline,
    stage_name,
    with_own_types,
)
from nbprod.pipeline.spec import load_pipeline
from tests.fakes import Lab

ONE = Pipeline(name="a", stages=(Stage(name="a", notebook="a.ipynb"),))


def run_with(*models: str) -> dict[str, StageRun]:
    """What a single stage left: these models, and an output that is none."""
    left = {name: Artifact(name=name, uri=name, sha256="0", size=1, kind="folder", role="model") for name in models}
    left["table"] = Artifact(name="table", uri="table.csv", sha256="0", size=1)
    return {"a": StageRun(stage="a", status="succeeded", outputs=left)}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("train.ipynb", "train"),
        ("Train model (v2).ipynb", "Train-model-v2"),
        ("01 load.ipynb", "notebook-01-load"),
        ("ação.ipynb", "a-o"),
        ("数据.ipynb", "notebook"),
        ("_x.ipynb", "notebook-_x"),
    ],
)
def test_a_stage_is_called_like_its_notebook_in_legal_letters(file: str, name: str) -> None:
    assert stage_name(Path(file)) == name


def test_the_inputs_and_outputs_of_a_notebook_are_what_its_comments_say(lab: Lab) -> None:
    lab.notebook(
        "a",
        "pass",
        parameters=(
            "raw = '../data/raw.csv'  # input: rows\nweb = 'https://data.example/x'  # input\n"
            "table = '../out/table.csv'  # output\nn = 1\nlater = None  # input"
        ),
    )
    assert pipeline_of_notebook(str(lab.root / "notebooks" / "a.ipynb"), lab.project) == Pipeline(
        name="a",
        stages=(
            Stage(
                name="a",
                notebook="notebooks/a.ipynb",
                inputs={"raw": "data/raw.csv", "web": "https://data.example/x"},
                outputs={"table": "table.csv"},
            ),
        ),
    )


def test_a_notebook_needs_neither_yaml_nor_parameters(lab: Lab) -> None:
    lab.notebook("a", "x = 1")
    (stage,) = pipeline_of_notebook(str(lab.root / "notebooks" / "a.ipynb"), lab.project).stages
    assert (stage.params, stage.inputs, stage.outputs) == ({}, {}, {})


def test_the_one_model_that_a_single_notebook_logged_is_its_model() -> None:
    assert model_of(ONE, run_with("forest"), None) == ModelSpec(name="a", source="a.forest")
    assert model_of(ONE, run_with("forest"), "churn") == ModelSpec(name="churn", source="a.forest")


def test_a_notebook_that_logged_no_model_has_none() -> None:
    assert model_of(ONE, run_with(), "churn") is None


def test_of_several_models_one_must_be_named() -> None:
    with pytest.raises(UsageError) as caught:
        model_of(ONE, run_with("forest", "tree"), None)
    assert str(caught.value) == (
        "a.ipynb: the notebook logged several models (forest, tree): write a pipeline whose `model.from` names one; "
        "`--save` writes one to begin with."
    )


def test_a_pipelines_own_model_comes_first_and_may_be_registered_under_another_name() -> None:
    spec = ModelSpec(name="churn", source="a.tree", owner="us")
    pipeline = Pipeline(name="p", stages=ONE.stages, model=spec)
    assert model_of(pipeline, run_with("forest", "tree"), None) == spec
    assert model_of(pipeline, run_with("forest", "tree"), "other") == ModelSpec(
        name="other", source="a.tree", owner="us"
    )


def test_a_pipeline_of_several_stages_has_a_model_only_where_it_says_so() -> None:
    two = Pipeline(name="p", stages=(*ONE.stages, Stage(name="b", notebook="b.ipynb")))
    assert model_of(two, run_with("forest"), "churn") is None


@pytest.mark.parametrize(
    "pipeline", [ONE, Pipeline(name="p", stages=ONE.stages, model=ModelSpec(name="x", source="a.y"))]
)
def test_a_name_that_no_reference_can_hold_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(UsageError, match="a model's name holds no spaces"):
        model_of(pipeline, run_with("forest"), "a/b")


def test_a_saved_pipeline_is_read_back_as_it_was_run(lab: Lab) -> None:
    lab.notebook("a", "pass", parameters="raw = '../raw.csv'  # input\ntable = 't.csv'  # output\nn = 1")
    pipeline = pipeline_of_notebook(str(lab.root / "notebooks" / "a.ipynb"), lab.project)
    path = save_pipeline(pipeline, {"n": 7}, ModelSpec(name="churn", source="a.model"), project=lab.project)
    found = load_pipeline(path, label="pipelines/a.yaml")
    (stage,) = found.stages
    assert (stage.notebook, stage.params, stage.inputs, stage.outputs) == (
        "notebooks/a.ipynb",
        {"n": 7},
        {"raw": "raw.csv"},
        {"table": "t.csv"},
    )
    assert found.model is not None
    assert (found.name, found.model.name, found.model.source) == ("a", "churn", "a.model")


def test_a_file_that_is_called_as_the_notebook_is_no_output_of_it(lab: Lab) -> None:
    lab.notebook("iris", "pass", parameters="rows = '../iris.csv'  # input\nmore = 'iris.csv'  # input")
    (stage,) = pipeline_of_notebook(str(lab.root / "notebooks" / "iris.ipynb"), lab.project).stages
    assert stage.inputs == {"rows": "./iris.csv", "more": "notebooks/iris.csv"}


def test_types_that_travel_with_the_model_of_a_single_notebook_are_trusted_and_saved(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "features.py").touch()
    options = {"code": "code", "skops_trusted_types": ["features.Ratio", "other.Ratio", "sklearn.tree._tree.Tree"]}
    (folder / "MLmodel").write_text(json.dumps({"flavors": {"sklearn": options}}))
    model = with_own_types(ModelSpec(name="churn", source="a.model"), folder)
    assert model.trusted == ("features.Ratio",)
    path = save_pipeline(ONE, {}, model, project=lab.project)
    found = load_pipeline(path, label="pipelines/a.yaml").model
    assert found is not None
    assert found.trusted == ("features.Ratio",)


def test_a_notebook_that_failed_gets_a_pipeline_with_the_model_that_it_would_have_logged(lab: Lab) -> None:
    lab.notebook("a", "nbprod.log_model(m, example=X)")
    lab.notebook("b", "x = 1")
    path = lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb}, b: {notebook: notebooks/b.ipynb}}")
    a, b = path.bind()
    assert expected_model(a, None) == ModelSpec(name="a", source="a.model")
    assert expected_model(a, "churn") == ModelSpec(name="churn", source="a.model")
    assert expected_model(b, None) is None


def test_a_pipeline_that_is_there_is_not_written_over(lab: Lab) -> None:
    lab.file("pipelines/a.yaml", "mine")
    with pytest.raises(UsageError) as caught:
        save_pipeline(ONE, {}, None, project=lab.project)
    assert str(caught.value) == "pipelines/a.yaml: is there already: move it away, or edit it."
    assert (lab.root / "pipelines" / "a.yaml").read_text() == "mine"
