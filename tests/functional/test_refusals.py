"""What is wrong is said before anything runs: one sentence with file, line and the nearest match, and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import KERNEL, Project, parameters

GOOD = """
name: good
stages:
  prepare:
    notebook: notebooks/prepare.ipynb
    params: {n_rows: 10}
    inputs: {raw: data/raw.csv}
    outputs: {table: table.csv}
  train:
    notebook: notebooks/train.ipynb
    params: {n_trees: 20, kind: small, columns: [a]}
    inputs: {table: prepare.table}
presets:
  smoke: {train.n_trees: 2}
"""

TRAIN = """
table = "x"  # input
n_trees: int = 100
rate: None | float = None
kind: Literal["small", "large"] = "small"
columns: list[str] = []
"""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    project = make_project("refusals")
    project.write("data/raw.csv", "a\n1\n")
    project.write("pipelines/good.yaml", GOOD)
    project.notebook(
        "notebooks/prepare.ipynb", parameters('raw = "x"  # input\ntable = "x"  # output\nn_rows: int = 1'), "1"
    )
    project.notebook("notebooks/train.ipynb", parameters(TRAIN), "1")
    return project


def refused(project: Project, *arguments: str) -> Any:
    """Run a verb that must be refused: one sentence on stderr, one document on stdout, no traceback."""
    done = project.nbprod("run", *arguments, "--json", code=2)
    assert "Traceback" not in done.stderr
    error = done.document["error"]
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(error["message"])
    assert error["message"].endswith((".", "?"))
    return error


def pipeline(project: Project, name: str, old: str, new: str) -> str:
    """Write the good pipeline with one change under another name."""
    assert old in GOOD
    project.write(f"pipelines/{name}.yaml", GOOD.replace(old, new).replace("name: good", f"name: {name}"))
    return f"pipelines/{name}.yaml"


def line_of(path: str, project: Project, text: str) -> range:
    """The lines of the stage in which a text stands: an error may name the line itself or the stage's."""
    lines = (project.root / path).read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return range(found - 4, found + 1)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("n_trees: 20", "ntrees: 20", "has no parameter 'ntrees'. Did you mean 'n_trees'?"),
        ("n_trees: 20", "n_trees: many", 'n_trees must be int, not str ("many")'),
        ("kind: small", "kind: medium", "kind must be Literal"),
        ("columns: [a]", "columns: a", 'columns must be list[str], not str ("a")'),
        ("data/raw.csv", "data/rew.csv", "'data/rew.csv'"),
        ("prepare.table", "prepare.tabel", "Did you mean 'table'?"),
        ("    inputs: {raw", "    input: {raw", "Did you mean 'inputs'?"),
    ],
)
def test_a_mistake_in_the_pipeline_is_shown_with_file_line_and_what_was_meant(
    project: Project, old: str, new: str, says: str
) -> None:
    path = pipeline(project, "wrong", old, new)
    error = refused(project, path)
    assert says in error["message"]
    assert error["file"] == path
    assert error["line"] in line_of(path, project, new)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-p", "n_treez", "3"), "-p n_treez: no notebook has a parameter 'n_treez'. Did you mean 'n_trees'?"),
        (("-p", "train.n_tree", "3"), "Did you mean 'train.n_trees'?"),
        (("-p", "n_trees", "many"), 'n_trees must be int, not str ("many")'),
        (("-p", "columns", "[1]"), "columns must be list[str], not list ([1])"),
        (("-p", "raw", "data/rew.csv"), "'data/rew.csv'"),
        (("-p", "prepare.table", "x.csv"), "outputs cannot be set"),
        (("--preset", "smok"), "there is no preset 'smok'. Did you mean 'smoke'?"),
        (("--stage", "tain"), "there is no stage 'tain'. Did you mean 'train'?"),
    ],
)
def test_a_mistake_on_the_command_line_is_shown_with_what_was_meant(
    project: Project, arguments: tuple[str, ...], says: str
) -> None:
    assert says in refused(project, "good", *arguments)["message"]


def test_a_parameters_file_is_checked_with_its_line(project: Project) -> None:
    project.write("params.yaml", "kind: large\nn_trees: 2.5\n")
    done = project.nbprod("run", "good", "-f", "params.yaml", code=2)
    assert "params.yaml:2" in done.stderr
    assert "n_trees must be int, not float (2.5)" in done.stderr


def test_a_parameter_that_is_named_like_a_secret_is_refused(project: Project) -> None:
    project.notebook("notebooks/secret.ipynb", parameters('api_key = "1234-top-secret"'), "1")
    error = refused(project, "notebooks/secret.ipynb")
    assert "'api_key' looks like a secret" in error["message"]
    assert "`env:`" in error["message"]
    assert error["file"] == "notebooks/secret.ipynb"
    assert "1234" not in error["message"]


def test_an_unknown_kernel_is_refused_with_the_nearest_that_is_installed(project: Project) -> None:
    spec = {"kernelspec": {"display_name": "Python", "language": "python", "name": "python33"}}
    project.notebook("notebooks/kernel.ipynb", "1", metadata=spec)
    error = refused(project, "notebooks/kernel.ipynb")
    assert "'python33'" in error["message"]
    assert "python3" in error["message"].replace("python33", "")
    assert error["file"] == "notebooks/kernel.ipynb"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"nbformat": 4,\n "cells": [}', "is not valid JSON"),
        ("", "is empty"),
        ('{"some": "json"}', "is JSON but not a notebook"),
        ('{"nbformat": 99, "cells": []}', "has notebook format 99"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "has no list of cells"),
    ],
)
def test_a_file_that_is_no_notebook_is_refused_in_one_sentence(project: Project, content: str, says: str) -> None:
    project.write("notebooks/broken.ipynb", content)
    error = refused(project, "notebooks/broken.ipynb")
    assert says in error["message"]
    assert error["file"] == "notebooks/broken.ipynb"


@pytest.mark.parametrize(
    "cell",
    [
        {"cell_type": "kode", "source": "1", "metadata": {}},
        {"cell_type": "code", "metadata": {}},
        {"source": "1"},
        "1 + 1",
    ],
    ids=["unknown type", "no source", "no type", "text"],
)
def test_an_invalid_cell_is_refused_with_its_number(project: Project, cell: Any) -> None:
    first: dict[str, Any] = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": None}
    content = {"nbformat": 4, "nbformat_minor": 4, "metadata": KERNEL, "cells": [first, cell]}
    project.write("notebooks/invalid.ipynb", json.dumps(content))
    error = refused(project, "notebooks/invalid.ipynb")
    assert error["cell"] == 2
    assert "KeyError" not in error["message"]


def test_a_notebook_or_verb_that_is_not_there_is_refused_with_the_nearest(project: Project) -> None:
    assert "Did you mean 'train.ipynb'?" in refused(project, "notebooks/tarin.ipynb")["message"]
    assert "Did you mean 'good'?" in refused(project, "goood")["message"]
    assert "Did you mean 'models'?" in project.nbprod("model", code=2).stderr


def test_a_model_that_is_not_there_is_refused(project: Project) -> None:
    for arguments in (("show", "nothing"), ("fetch", "nothing/1"), ("show", "nothing@champion")):
        done = project.nbprod(*arguments, code=2)
        assert "there is no model 'nothing'" in done.stderr


def test_check_lists_everything_that_is_wrong(project: Project) -> None:
    path = pipeline(project, "twice", "n_trees: 20", "ntrees: 20")
    text = (project.root / path).read_text().replace("n_rows: 10", "n_rows: ten")
    project.write(path, text)
    report = project.document("check", path, code=2)
    assert [error["stage"] for error in report["errors"]] == ["prepare", "train"]
    assert all(error["file"] == path and error["line"] for error in report["errors"])


def test_check_warns_of_a_first_stage_without_inputs_and_of_data_without_a_card(project: Project) -> None:
    project.notebook("notebooks/fetches.ipynb", "1")
    project.write(
        "pipelines/warned.yaml",
        "name: warned\nstages:\n  fetches: {notebook: notebooks/fetches.ipynb}\n"
        "  prepare: {notebook: notebooks/prepare.ipynb, inputs: {raw: data/raw.csv}, outputs: {table: t.csv}}\n",
    )
    report = project.document("check", "warned")
    assert report["errors"] == []
    assert len(report["warnings"]) == 2
    assert "stage 'fetches' has no inputs" in report["warnings"][0]
    assert "refresh" in report["warnings"][0]
    assert "data/raw.csv has no card" in report["warnings"][1]


def test_a_card_with_a_mistake_is_refused_before_anything_runs(project: Project) -> None:
    card = project.write("data/raw.csv.card.yaml", "license: MIT\nsensitve: [age]\n")
    try:
        assert refused(project, "good")["line"] == 2
        (error,) = project.document("check", "good", code=2)["errors"]
    finally:
        card.unlink()
    assert error["text"] == "data/raw.csv.card.yaml:2: unknown key 'sensitve'. Did you mean 'sensitive'?"


def test_nothing_ran_for_any_refusal(project: Project, tmp_path: Path) -> None:
    refused(project, "good", "-p", "n_trees", "many")
    assert project.document("runs") == []
    assert project.document("models") == []
    assert [path.name for path in (project.root / "runs").iterdir()] == [".gitignore"]
