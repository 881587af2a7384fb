"""The main job on three notebooks: a regression becomes a registered version, and only what changed runs again."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PAPERMILL, Done, Project, actions, stages

ALL_RUN = dict.fromkeys(("prepare", "train", "evaluate"), ("run", "succeeded"))
ALL_REUSED = dict.fromkeys(ALL_RUN, ("reuse", "succeeded"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was done with one project, in this order.

    Attributes:
        first: the first run, on a clean commit, and the entry that it made; its version then gets an alias.
        again: the same, with nothing changed.
        edited: the plan and the run after a notebook's text was edited.
        planned: the plan with another parameter of the second stage.
        changed: the run with it.
        partial: a run of the first stage only.
    """

    project: Project
    first: Done
    entry: Any
    again: Done
    edited: tuple[Any, Any]
    planned: Any
    changed: Any
    partial: Done
    registered_after: dict[str, list[str]]


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
    entry = project.document("show", "penguins/1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        project.registry().set_registered_model_alias("penguins", "champion", "1")
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
        project=project, first=first, entry=entry, again=again, edited=edited, planned=planned, changed=changed,
        partial=partial, registered_after=registered,
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


def test_values_from_a_file_and_the_command_line_win_in_that_order(story: Story) -> None:
    story.project.write("values.yaml", "train.n_trees: 30\n")
    with_file = story.project.document("plan", "-f", "values.yaml")
    assert actions(with_file) == {"prepare": "reuse", "train": "run", "evaluate": "run"}
    over = story.project.document("plan", "-f", "values.yaml", "-p", "train.n_trees", "50")
    assert set(actions(over).values()) == {"reuse"}
    (story.project.root / "values.yaml").unlink()


def test_an_input_may_be_set_and_its_bytes_decide(story: Story) -> None:
    copy = story.project.root / "data" / "copy.parquet"
    shutil.copy(story.project.root / "data" / "penguins.parquet", copy)
    assert actions(story.project.document("plan", "-p", "raw", "data/copy.parquet"))["prepare"] == "reuse"
    with copy.open("ab") as file:
        file.write(b"more")
    changed = story.project.document("plan", "-p", "raw", "data/copy.parquet")
    copy.unlink()
    assert set(actions(changed).values()) == {"run"}
    assert "raw" in changed["stages"][0]["reasons"][0]


def test_a_changed_module_of_the_project_reruns_the_stage_that_imports_it(story: Story) -> None:
    module = story.project.root / "notebooks" / "features.py"
    text = module.read_text()
    module.write_text(text.replace('"month": 11', '"month": 10'))
    try:
        planned = story.project.document("plan")
    finally:
        module.write_text(text)
    assert actions(planned) == {"prepare": "reuse", "train": "run", "evaluate": "run"}
    assert any("features" in reason for reason in planned["stages"][1]["reasons"])


def test_force_runs_what_has_not_changed_and_no_register_gives_no_version(story: Story) -> None:
    planned = story.project.document("plan", "--stage", "train", "--force")
    assert actions(planned) == {"prepare": "reuse", "train": "run"}
    report = story.project.document("run", "--no-register")
    assert stages(report) == ALL_REUSED
    assert report["version"] is None


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
    assert any(line.startswith("scikit-learn==") for line in entry["environment"]["freeze"])
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


def test_a_version_of_changed_code_holds_the_diff_that_gives_the_code_back(story: Story, tmp_path: Path) -> None:
    git = story.project.document("show", "penguins/2")["source"]["git"]
    diff = story.project.registered("penguins", "2") / "nbprod" / "diff.patch"
    assert git["dirty"] is True
    assert git["diff_sha256"] == hashlib.sha256(diff.read_bytes()).hexdigest()
    assert git["diff"] == diff.read_text()
    story.project.call("git", "clone", "-q", str(story.project.root), str(tmp_path / "clone"))
    story.project.call("git", "checkout", "-q", git["commit"], folder=tmp_path / "clone")
    story.project.call("git", "apply", str(diff), folder=tmp_path / "clone")
    again = tmp_path / "clone" / "notebooks" / "train.ipynb"
    assert again.read_bytes() == (story.project.root / "notebooks" / "train.ipynb").read_bytes()


def test_models_and_show_know_versions_aliases_and_main_metrics(story: Story) -> None:
    lines = story.project.nbprod("models").stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["penguins", "2", "-", "rmse"], ["penguins", "1", "champion", "rmse"],
    ]  # fmt: skip
    assert story.project.document("show", "penguins@champion") == story.entry
    assert story.project.document("show", "penguins") == story.project.document("show", "penguins/2")
    shown = story.project.nbprod("show", "penguins/1").stdout
    for words in ("penguins/1", "champion", "the nbprod maintainers", "rmse", "CC0-1.0", "predicts Body Mass (g)"):
        assert words in shown


def test_registering_moves_no_alias_and_changes_no_entry(story: Story) -> None:
    assert [row["aliases"] for row in story.project.document("models")] == [[], ["champion"]]
    assert story.project.document("show", "penguins/1") == story.entry


def test_a_statement_gives_the_entry_its_name_and_version(story: Story) -> None:
    (digest,) = [row["digest"] for row in story.project.document("models") if row["version"] == "1"]
    found = [
        statement
        for name, content in story.project.files(".nbprod/artifacts").items()
        if "/statements/" in name and (statement := json.loads(content))["subject"] == digest
    ]
    assert [(statement["schema"], statement["body"]["version"]) for statement in found] == [
        ("nbprod/registration/1", "1")
    ]


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
    used = {
        item.dataset.name: ({tag.key: tag.value for tag in item.tags}["mlflow.data.context"], item.dataset.profile)
        for item in parents[0].inputs.dataset_inputs
    }
    assert {name: context for name, (context, _) in used.items()} == {
        "penguins.parquet": "raw", "train.parquet": "train", "test.parquet": "test",
    }  # fmt: skip
    assert json.loads(used["test.parquet"][1])["rows"] == 119
    (raw,) = first["prepare"].inputs.dataset_inputs
    whole = {tag.key: tag.value for tag in raw.tags}["nbprod.sha256"]
    assert whole == next(item["sha256"] for item in story.entry["inputs"] if item["role"] == "input")
    assert raw.dataset.digest == whole[:32]
    assert "residuals.csv" in {item.path for item in client.list_artifacts(first["evaluate"].info.run_id)}


def test_the_command_that_show_prints_scores_the_version_without_nbprod(story: Story, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    (blocked / "nbprod").mkdir(parents=True)
    (blocked / "nbprod" / "__init__.py").write_text("raise ImportError('nbprod is not installed here')")
    said = story.project.nbprod("show", "penguins/1").stderr
    setting, program, *words = shlex.split(said.removeprefix("next:"), comments=True)
    assert (program, words[:4]) == ("mlflow", ["models", "predict", "-m", "models:/penguins/1"])
    story.project.call(
        sys.executable, "-P", "-m", program, *words, "-o", str(tmp_path / "answer.json"),
        PYTHONPATH=str(blocked),
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_TRACKING_URI=setting.removeprefix("MLFLOW_TRACKING_URI="),
    )  # fmt: skip
    answer = json.loads((tmp_path / "answer.json").read_text())["predictions"]
    assert len(answer) == 5
    assert answer == pytest.approx(story.entry["model"]["example_predictions"])


@pytest.mark.slow
def test_a_notebook_gives_the_same_metrics_under_plain_papermill(story: Story, tmp_path: Path) -> None:
    import scrapbook

    story.project.document("run")  # so that runs/latest, where the notebook's defaults point, is of the first version
    target = tmp_path / "evaluate.ipynb"
    story.project.call(
        *PAPERMILL, "--no-progress-bar", "--cwd", "notebooks", "notebooks/evaluate.ipynb", str(target)
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scraps = scrapbook.read_notebook(str(target)).scraps
    found = {name: scrap.data["value"] for name, scrap in scraps.items() if name.startswith("metric/")}
    assert found == {f"metric/{m['dataset']}/{m['name']}": m["value"] for m in story.entry["metrics"]}
