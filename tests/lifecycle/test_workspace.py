"""What every verb opens first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.entities import Pipeline
from nbprod.errors import UsageError
from nbprod.lifecycle.workspace import find_pipeline, keys_digest, open_workspace, project_start
from tests.fakes import Lab

PLAIN = Pipeline(name="p", stages=())
ONE = "name: p\nstages: {a: {notebook: notebooks/a.ipynb}}\n"


@pytest.fixture
def project(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A project with one pipeline, ``p``, that one stands in."""
    monkeypatch.chdir(lab.root)
    lab.notebook("a", "x = 1")
    return lab.pipeline(ONE)


def refusal(lab: Lab, target: str | None) -> str:
    with pytest.raises(UsageError) as caught:
        find_pipeline(target, lab.project)
    return str(caught.value)


@pytest.mark.parametrize("target", [None, "p", "pipelines/p.yaml", "./pipelines/p.yaml"])
def test_a_pipeline_is_found_by_its_file_its_name_or_as_the_only_one(project: Lab, target: str | None) -> None:
    assert find_pipeline(target, project.project).path == "pipelines/p.yaml"


def test_a_folder_of_the_same_name_does_not_hide_a_pipeline(project: Lab) -> None:
    (project.root / "p").mkdir()
    assert find_pipeline("p", project.project).path == "pipelines/p.yaml"


def test_a_file_outside_the_project_is_called_by_its_whole_path(project: Lab, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(ONE)
    assert find_pipeline(str(tmp_path / "other.yaml"), project.project).path == str(tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("q", "there is no pipeline or notebook 'q'. There is: p."),
        ("pipelines/q.yaml", "there is no pipeline or notebook 'pipelines/q.yaml'. Did you mean 'pipelines/p.yaml'?"),
        ("notebooks", "there is no pipeline or notebook 'notebooks'. There is: p."),
    ],
)
def test_a_pipeline_that_is_not_there_gets_the_nearest_that_is(project: Lab, target: str, said: str) -> None:
    assert refusal(project, target) == said


def test_of_several_pipelines_one_must_be_named(project: Lab) -> None:
    project.file("pipelines/q.yml", ONE)
    assert refusal(project, None) == "say which pipeline: p, q."


def test_where_there_is_no_pipeline_that_is_said(project: Lab) -> None:
    (project.root / "pipelines" / "p.yaml").unlink()
    assert refusal(project, None) == "there is no pipeline under pipelines/: name a notebook instead."


def test_the_project_is_looked_for_beside_a_file_that_was_named(project: Lab, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.ipynb").write_text("{}")
    assert project_start(str(tmp_path / "elsewhere.ipynb")) == tmp_path / "elsewhere.ipynb"
    assert (project_start("p"), project_start(None)) == (None, None)


def test_an_opened_project_has_its_folders_and_closes_its_index(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    with open_workspace(tmp_path) as work:
        work.index.remember("name", "text")
        assert sorted(path.name for path in tmp_path.iterdir()) == [".nbprod", "pipelines", "runs"]
    with open_workspace(tmp_path) as work:
        assert work.index.recall("name") == "text"


def test_a_store_that_is_set_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPROD_STORE", str(tmp_path / "shared"))
    (tmp_path / "data.csv").write_text("data")
    with open_workspace(tmp_path) as work:
        work.store.keep(tmp_path / "data.csv")
    assert [path.read_text() for path in (tmp_path / "shared").rglob("*") if path.is_file()] == ["data"]


def test_the_digest_of_keys_depends_on_every_key_and_on_no_order(project: Lab) -> None:
    bound = project.bind()
    assert keys_digest(PLAIN, bound, {"a": "k1"}) == keys_digest(PLAIN, bound, {"a": "k1", "other": "k2"})
    assert keys_digest(PLAIN, bound, {"a": "k1"}) != keys_digest(PLAIN, bound, {"a": "k2"})


def test_other_gates_and_another_policy_of_the_log_make_another_version(lab: Lab) -> None:
    gated = replace(PLAIN, sections={"gates": [{"size": {"at_most": "5MB"}}]})
    other = replace(PLAIN, sections={"gates": [{"size": {"at_most": "6MB"}}], "log": {}})
    logged = replace(PLAIN, sections={"log": {"inputs": "none"}})
    assert len({keys_digest(pipeline, (), {}) for pipeline in (PLAIN, gated, other, logged)}) == 4
    assert keys_digest(replace(PLAIN, sections={"update": {"x": 1}}), (), {}) == keys_digest(PLAIN, (), {})
