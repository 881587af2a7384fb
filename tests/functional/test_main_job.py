"""The main job on three notebooks: a regression becomes a registered version, and only what changed runs again."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Done, Project, actions, stages

ALL_RUN = {name: ("run", "succeeded") for name in ("prepare", "train", "evaluate")}
ALL_REUSED = {name: ("reuse", "succeeded") for name in ALL_RUN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done with one project, in this order.

    Attributes:
        first: the first run, on a clean commit.
        again: the same, with nothing changed.
        edited: the plan and the run after a notebook's text was edited.
        planned: the plan with another parameter of the second stage.
        changed: the run with it.
        partial: a run of the first stage only.
    """

    project: Project
    first: Done
    again: Done
    edited: tuple[Any, Any]
    planned: Any
    changed: Any
    partial: Done
    registered_after: dict[str, list[str]]

    @property
    def entry(self) -> Any:
        """The first version's entry."""
        return self.project.document("show", "penguins/1")


@pytest.fixture(scope="module")
def story(make_project: Make, beside_tests: Path) -> Story:
    project = make_project("penguins")
    shutil.copytree(beside_tests / "projects" / "regression", project.root, dirs_exist_ok=True)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "begin"]):
        project.call("git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words)
    registered: dict[str, list[str]] = {}

    def note(step: str) -> None:
        registered[step] = [f"{row['name']}/{row['version']}" for row in project.document("models")]

    first = project.nbprod("run", "--json")
    note("first")
    again = project.nbprod("run")
    notebook = project.read("notebooks/train.ipynb")
    notebook["cells"][0]["source"] = ["# Another title\n", "and more words"]
    notebook["cells"][2]["source"] += ["\n", "# a comment\n"]
    project.write("notebooks/train.ipynb", json.dumps(notebook))
    edited = project.document("plan"), project.document("run")
    note("edited")
    planned = project.document("plan", "-p", "train.n_trees", "20")
    changed = project.document("run", "-p", "train.n_trees", "20")
    note("changed")
    partial = project.nbprod("run", "--stage", "prepare", "--json")
    note("partial")
    return Story(
        project=project, first=first, again=again, edited=edited, planned=planned, changed=changed, partial=partial,
        registered_after=registered,
    )  # fmt: skip


def test_three_notebooks_become_a_registered_version(story: Story) -> None:
    report = story.first.document
    assert set(report) == {"run", "status", "stages", "version"}
    assert report["status"] == "succeeded"
    assert stages(report) == ALL_RUN
    assert report["version"] == {"name": "penguins", "version": "1"}
    assert story.registered_after["first"] == ["penguins/1"]


def test_with_json_progress_is_told_on_stderr(story: Story) -> None:
    assert "train: succeeded" in story.first.stderr
    assert "Traceback" not in story.first.stderr
    assert "unknown parameter" not in story.first.stderr


def test_executed_notebooks_and_outputs_are_where_people_can_open_them(story: Story) -> None:
    run = story.project.root / "runs" / story.first.document["run"]
    assert {path.name for path in run.iterdir()} == {
        "run.json", "prepare", "prepare.ipynb", "train", "train.ipynb", "evaluate", "evaluate.ipynb",
    }  # fmt: skip
    assert (run / "prepare" / "train.parquet").is_file()
    assert (run / "evaluate" / "residuals.csv").is_file()
    assert (run / "train" / "model" / "MLmodel").is_file()
    latest = story.project.root / "runs" / "latest"
    assert (latest / "evaluate.ipynb").resolve().parent.name == story.changed["run"]
    assert (latest / "train" / "model" / "MLmodel").is_file()


def test_what_nbprod_writes_is_ignored_by_git(story: Story) -> None:
    changed = story.project.call("git", "status", "--porcelain", "--untracked-files=all").stdout
    assert changed.split() == ["M", "notebooks/train.ipynb"]


def test_a_second_run_registers_nothing_and_prints_the_same_version(story: Story) -> None:
    assert story.again.stdout == "unchanged: penguins/1\n"
    assert "next: nbprod show penguins/1" in story.again.stderr
    assert story.registered_after["edited"] == ["penguins/1"]


def test_an_edit_of_text_and_comments_reruns_nothing(story: Story) -> None:
    planned, report = story.edited
    assert set(actions(planned).values()) == {"reuse"}
    assert stages(report) == ALL_REUSED
    assert report["version"] == {"name": "penguins", "version": "1"}


def test_a_changed_parameter_reruns_only_what_depends_on_it(story: Story) -> None:
    assert actions(story.planned) == {"prepare": "reuse", "train": "run", "evaluate": "run"}
    reasons = {stage["name"]: stage["reasons"] for stage in story.planned["stages"]}
    assert len(reasons["train"]) == 1
    assert "n_trees" in reasons["train"][0]
    assert reasons["evaluate"] == ["train runs before it"]
    assert {name: stage[0] for name, stage in stages(story.changed).items()} == actions(story.planned)
    assert story.changed["version"] == {"name": "penguins", "version": "2"}
    assert story.registered_after["changed"] == ["penguins/2", "penguins/1"]


def test_a_part_of_a_pipeline_registers_nothing(story: Story) -> None:
    assert stages(story.partial.document) == {"prepare": ("reuse", "succeeded")}
    assert story.partial.document["version"] is None
    assert story.registered_after["partial"] == ["penguins/2", "penguins/1"]


def test_plan_says_for_each_stage_run_or_reuse_and_why(story: Story) -> None:
    document = story.project.document("plan", "--preset", "smoke")
    assert actions(document) == {"prepare": "reuse", "train": "run", "evaluate": "run"}
    assert all(set(stage) == {"name", "action", "reasons"} for stage in document["stages"])
    shown = story.project.nbprod("plan", "--preset", "smoke")
    assert [line.split()[:2] for line in shown.stdout.splitlines()[1:]] == [
        ["prepare", "reuse"], ["train", "run"], ["evaluate", "run"],
    ]  # fmt: skip


def test_show_json_is_exactly_the_nbprod_json_of_the_registered_folder(story: Story) -> None:
    kept = (story.project.registered("penguins", "1") / "nbprod" / "nbprod.json").read_bytes()
    assert story.entry == json.loads(kept)
    row = next(row for row in story.project.document("models") if row["version"] == "1")
    assert row["digest"] == hashlib.sha256(kept).hexdigest()


def test_the_entry_says_what_was_trained_by_whom_on_which_data(story: Story) -> None:
    entry = story.entry
    assert entry["schema"] == "nbprod/model-version/1"
    assert entry["owner"] == "the nbprod maintainers"
    assert entry["limitations"] == "Three species, one region, three seasons."
    assert entry["pipeline"]["text"] == (story.project.root / "pipelines" / "penguins.yaml").read_text()
    data = {item["role"]: item for item in entry["inputs"]}
    raw = story.project.root / "data" / "penguins.parquet"
    assert data["input"]["sha256"] == hashlib.sha256(raw.read_bytes()).hexdigest()
    assert (data["input"]["rows"], len(data["input"]["columns"])) == (344, 11)
    assert data["input"]["card"]["license"] == "CC0-1.0"
    assert (data["train"]["rows"], data["test"]["rows"]) == (223, 119)
    assert all(item["kept"] for item in entry["inputs"])
    assert {metric["stage"] for metric in entry["metrics"]} == {"evaluate"}
    rmse = next(m for m in entry["metrics"] if (m["name"], m["dataset"]) == ("rmse", "test"))
    assert rmse["interval"][0] < rmse["value"] < rmse["interval"][1]


def test_the_entry_says_by_which_code_and_environment(story: Story) -> None:
    entry = story.entry
    commit = story.project.call("git", "rev-parse", "HEAD").stdout.strip()
    assert entry["source"]["git"]["commit"] == commit
    assert entry["source"]["git"]["dirty"] is False
    assert entry["run"]["cells_pending"] == 0
    parameters = {stage["name"]: stage["parameters"] for stage in entry["run"]["stages"]}
    assert parameters["train"] == {"target": "Body Mass (g)", "n_trees": 50, "max_depth": 3, "seed": 0}
    assert entry["run"]["seed"] == 0
    assert "scikit-learn" in entry["environment"]["freeze"]
    assert entry["model"]["trusted"] == ["features.days_since_november"]
    assert {column["name"] for column in entry["model"]["signature"]["inputs"]} >= {"Species", "Date Egg"}
    assert not {"version", "aliases", "gates"} & set(entry)


def test_the_registered_folder_holds_the_model_and_everything_that_made_it(story: Story) -> None:
    folder = story.project.registered("penguins", "1")
    entry = story.entry
    assert (folder / "MLmodel").is_file()
    for name, sha256 in entry["model"]["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    for notebook in entry["source"]["notebooks"]:
        executed = (folder / notebook["executed"]).read_bytes()
        assert hashlib.sha256(executed).hexdigest() == notebook["executed_sha256"]
    assert (folder / "nbprod" / "freeze.txt").is_file()
    assert "features.py" in {Path(name).name for name in entry["model"]["files"]}


def test_a_version_of_changed_code_holds_the_diff(story: Story) -> None:
    folder = story.project.registered("penguins", "2")
    entry = story.project.document("show", "penguins/2")
    diff = (folder / "nbprod" / "diff.patch").read_bytes()
    assert entry["source"]["git"]["dirty"] is True
    assert entry["source"]["git"]["diff"]["sha256"] == hashlib.sha256(diff).hexdigest()
    assert b"Another title" in diff


def test_models_and_show_know_versions_aliases_and_main_metrics(story: Story) -> None:
    assert [row["aliases"] for row in story.project.document("models")] == [[], []]
    client = story.project.registry()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.set_registered_model_alias("penguins", "champion", "1")
    try:
        assert [row["aliases"] for row in story.project.document("models")] == [[], ["champion"]]
        lines = story.project.nbprod("models").stdout.splitlines()
        assert lines[2].split()[:4] == ["penguins", "1", "champion", "rmse"]
        assert story.project.document("show", "penguins@champion") == story.entry
    finally:
        client.delete_registered_model_alias("penguins", "champion")
    assert story.project.document("show", "penguins") == story.project.document("show", "penguins/2")
    shown = story.project.nbprod("show", "penguins/1").stdout
    for words in ("penguins/1", "the nbprod maintainers", "rmse", "license: CC0-1.0", "predicts Body Mass (g)"):
        assert words in shown


def test_runs_lists_every_run_newest_first(story: Story) -> None:
    found = story.project.document("runs")
    assert [run["id"] for run in found] == [story.changed["run"], story.first.document["run"]]
    assert {run["status"] for run in found} == {"succeeded"}
    assert story.changed["run"] in story.project.nbprod("runs").stdout.splitlines()[1]


def test_fetch_gives_the_exact_bytes_even_after_the_file_is_gone(story: Story, tmp_path: Path) -> None:
    raw = story.project.root / "data" / "penguins.parquet"
    content = raw.read_bytes()
    hidden = raw.rename(raw.with_suffix(".hidden"))
    try:
        (given,) = story.project.document("fetch", "penguins/1", "raw", "--to", str(tmp_path))
        assert Path(given["path"]).read_bytes() == content
        everything = story.project.document("fetch", "penguins/1", "--to", str(tmp_path / "all"))
    finally:
        hidden.rename(raw)
    assert {Path(item["path"]).name for item in everything} == {"penguins.parquet", "train.parquet", "test.parquet"}
    made = story.project.root / "runs" / story.first.document["run"] / "prepare" / "test.parquet"
    assert (tmp_path / "all" / "test.parquet").read_bytes() == made.read_bytes()


def test_a_pipeline_run_is_one_mlflow_run_with_a_child_for_each_stage_that_ran(story: Story) -> None:
    client = story.project.registry()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (experiment,) = [e for e in client.search_experiments() if e.name == "penguins"]
        found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_name for run in parents] == [story.first.document["run"], story.changed["run"]]
    children = {
        parent.info.run_name: {
            run.info.run_name: run
            for run in found
            if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        }
        for parent in parents
    }  # fmt: skip
    first, second = children[parents[0].info.run_name], children[parents[1].info.run_name]
    assert set(first) == {"prepare", "train", "evaluate"}
    assert set(second) == {"train", "evaluate"}
    assert first["train"].data.params["n_trees"] == "50"
    assert second["train"].data.params["n_trees"] == "20"
    assert parents[0].data.params["train.n_trees"] == "50"
    main = next(m for m in story.entry["metrics"] if (m["name"], m["dataset"]) == ("rmse", "test"))
    assert first["evaluate"].data.metrics["rmse"] == main["value"]
    assert parents[0].data.metrics["rmse"] == main["value"]
    assert len(client.get_metric_history(first["train"].info.run_id, "train/rmse")) == 5
    (raw,) = first["prepare"].inputs.dataset_inputs
    whole = {tag.key: tag.value for tag in raw.tags}["nbprod.sha256"]
    assert whole == next(item["sha256"] for item in story.entry["inputs"] if item["role"] == "input")
    assert raw.dataset.digest == whole[:32]
    assert "residuals.csv" in {item.path for item in client.list_artifacts(first["evaluate"].info.run_id)}


def test_plain_mlflow_scores_the_version_without_nbprod(story: Story, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('nbprod', 'features'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n".replace("('nbprod', 'features')", "('nbprod',)")
    )
    folder = story.project.registered("penguins", "1")
    example = story.entry["model"]["example"]
    (tmp_path / "rows.json").write_text(json.dumps(json.loads((folder / "serving_input_example.json").read_text())))
    done = story.project.call(
        sys.executable, "-m", "mlflow", "models", "predict", "-m", "models:/penguins/1",
        "--env-manager", "local", "-i", str(tmp_path / "rows.json"),
        folder=tmp_path,
        PYTHONPATH=str(tmp_path / "hidden"),
        MLFLOW_TRACKING_URI=f"sqlite:///{story.project.root / '.nbprod' / 'mlflow.db'}",
    )  # fmt: skip
    answer = json.loads(done.stdout.splitlines()[-1])["predictions"]
    assert example is not None
    assert answer == pytest.approx(story.entry["model"]["example_predictions"])
