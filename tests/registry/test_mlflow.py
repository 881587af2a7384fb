"""What a person sees in MLflow, and what plain MLflow makes of it."""

from __future__ import annotations

import json
import sqlite3
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import sha256_file
from nbprod.entities import Metric, Statement
from nbprod.errors import AliasConflict, ArtifactError, RegistryError
from nbprod.registry import head_of
from nbprod.registry.auditing import ERASURES
from nbprod.registry.database import local_head, local_lines, prepare
from tests.registry.made import (
    GIT,
    RUN,
    TRAIN,
    a_run,
    artifact,
    failed_stage,
    model_folder,
    prepare_stage,
    registration,
    train_stage,
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A SQLite registry in a project."""
    return f"sqlite:///{tmp_path}/.nbprod/mlflow.db"


@pytest.fixture
def registry(registry_cache: Path, tmp_path: Path, uri: str) -> Any:
    """The adapter on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nbprod.registry.mlflow import MlflowRegistry

    return MlflowRegistry(uri, tmp_path / ".nbprod" / "artifacts")


def by_name(registry: Any) -> dict[str, Any]:
    """All runs by name."""
    experiments = [experiment.experiment_id for experiment in registry.client.search_experiments()]
    return {run.info.run_name: run for run in registry.client.search_runs(experiments)}


def test_files_of_a_local_registry_stay_under_the_project(registry: Any, tmp_path: Path) -> None:
    known = registry.client.get_experiment(registry.experiment("churn"))
    default = registry.client.get_experiment("0")

    assert known.artifact_location == (tmp_path / ".nbprod" / "artifacts" / "churn").as_uri()
    assert default.artifact_location == (tmp_path / ".nbprod" / "artifacts" / "0").as_uri()


def test_an_experiment_may_be_called_anything(registry: Any, tmp_path: Path) -> None:
    known = registry.client.get_experiment(registry.experiment("../a b/c?"))

    assert known.artifact_location.startswith((tmp_path / ".nbprod" / "artifacts").as_uri() + "/")
    assert ".." not in known.artifact_location.removeprefix((tmp_path / ".nbprod" / "artifacts").as_uri())[:4]


def test_a_deleted_experiment_is_taken_back(registry: Any) -> None:
    first = registry.experiment("churn")
    registry.client.delete_experiment(first)

    assert registry.experiment("churn") == first
    assert registry.client.get_experiment(first).lifecycle_stage == "active"


def test_datasets_are_inputs_with_our_digest_whole_in_a_tag(registry: Any, tmp_path: Path) -> None:
    facts = {TRAIN: {"role": "train", "rows": 3, "columns": 2}}

    registry.record(a_run(prepare_stage(), train_stage(tmp_path)), str(tmp_path), GIT, facts)

    (used,) = by_name(registry)["train"].inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("train.parquet", TRAIN[:32])
    assert json.loads(used.dataset.profile) == {"rows": 3, "columns": 2, "bytes": 10}
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "train", "nbprod.sha256": TRAIN}


def test_a_dataset_that_another_process_logs_at_the_same_moment_is_no_error(
    registry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    log, calls = registry.client.log_inputs, []

    def beaten(run: str, datasets: list[Any]) -> None:
        calls.append(run)
        if len(calls) == 1:
            table = "datasets.experiment_id, datasets.name, datasets.digest"
            raise MlflowException(f"(sqlite3.IntegrityError) UNIQUE constraint failed: {table}")
        log(run, datasets=datasets)

    monkeypatch.setattr(registry.client, "log_inputs", beaten)
    facts = {TRAIN: {"role": "train", "rows": 3, "columns": 2}}
    registry.record(a_run(prepare_stage(), train_stage(tmp_path)), str(tmp_path), GIT, facts)
    assert calls[0] == calls[1]
    assert by_name(registry)["train"].inputs.dataset_inputs


def test_the_page_of_a_stage_has_the_notebook_the_plots_the_commit_and_the_curve(registry: Any, tmp_path: Path) -> None:
    registry.record(a_run(train_stage(tmp_path)), str(tmp_path), GIT)

    run = by_name(registry)["train"]
    files = {item.path for item in registry.client.list_artifacts(run.info.run_id)}
    history = registry.client.get_metric_history(run.info.run_id, "train/loss")
    assert files == {"train.ipynb", "plots"}
    assert [item.path for item in registry.client.list_artifacts(run.info.run_id, "plots")] == ["plots/roc.png"]
    assert run.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert run.data.tags["mlflow.source.name"] == "notebooks/train.ipynb"
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.1)]


def test_a_failed_run_is_on_the_page_too(registry: Any, tmp_path: Path) -> None:
    registry.record(a_run(failed_stage(), status="failed"), str(tmp_path), {})

    runs = by_name(registry)
    assert runs[RUN].info.status == runs["evaluate"].info.status == "FAILED"
    assert runs["evaluate"].data.tags["nbprod.error"] == "cell 3: ValueError: no rows"


def test_more_of_everything_than_mlflow_takes_at_once_is_recorded(registry: Any, tmp_path: Path) -> None:
    curve = tuple((step, 1.0) for step in range(100))
    stage = replace(
        train_stage(tmp_path),
        params={f"p{i}": i for i in range(250)},
        metrics=tuple(Metric(name=f"m{i}", value=1.0, curve=curve) for i in range(25)),
        outputs={f"o{i}": artifact(f"o{i}", "x", "7" * 64, role="output") for i in range(150)},
    )

    registry.record(a_run(stage), str(tmp_path), {})

    run = by_name(registry)["train"]
    assert len(run.data.params) == 250
    assert len(run.data.metrics) == 25
    assert len([name for name in run.data.tags if name.startswith("nbprod.output.")]) == 150
    assert len(registry.client.get_metric_history(run.info.run_id, "m7")) == 100


def test_numbers_that_are_not_finite_are_recorded(registry: Any, tmp_path: Path) -> None:
    metrics = (Metric(name="nan", value=float("nan")), Metric(name="inf", value=float("inf")))

    registry.record(a_run(replace(train_stage(tmp_path), metrics=metrics)), str(tmp_path), {})

    assert set(by_name(registry)["train"].data.metrics) == {"nan", "inf"}


def test_a_record_that_was_cut_short_is_made_anew(registry: Any, tmp_path: Path) -> None:
    run = a_run(train_stage(tmp_path))
    half = registry.client.create_run(
        registry.experiment("churn"), tags={"nbprod.run": RUN, "nbprod.record": "run"}
    ).info.run_id

    whole = registry.record(run, str(tmp_path), {})

    assert whole != half
    assert {name: found.info.status for name, found in by_name(registry).items()} == {
        RUN: "FINISHED",
        "train": "FINISHED",
    }
    assert registry.record(run, str(tmp_path), {}) == whole


def test_files_that_are_gone_do_not_stop_a_run_from_being_recorded(registry: Any, tmp_path: Path) -> None:
    stage = train_stage(tmp_path)
    (tmp_path / "runs" / RUN / "train.ipynb").unlink()

    registry.record(a_run(stage), str(tmp_path), {})

    assert by_name(registry)["train"].info.status == "FINISHED"


def test_runs_that_the_notebook_made_are_shown_below_its_stage(registry: Any, tmp_path: Path) -> None:
    experiment = registry.experiment("churn")
    own = registry.client.create_run(experiment).info.run_id
    other = registry.client.create_run(experiment, tags={"mlflow.parentRunId": own}).info.run_id

    registry.record(a_run(replace(train_stage(tmp_path), tracked=(own, other, "f" * 32))), str(tmp_path), {})

    parents = {i: registry.client.get_run(i).data.tags["mlflow.parentRunId"] for i in (own, other)}
    assert parents == {own: by_name(registry)["train"].info.run_id, other: own}


def registered(registry: Any, tmp_path: Path, *, folder: Path | None = None) -> Any:
    """A version."""
    tracking = registry.record(a_run(train_stage(tmp_path)), str(tmp_path), GIT)
    return registry.register(registration(folder or model_folder(tmp_path / "made"), tracking))


def test_the_registered_folder_is_an_artifact_of_the_run_and_its_version_says_so(registry: Any, tmp_path: Path) -> None:
    made = registered(registry, tmp_path)

    version = registry.client.get_model_version("churn", "1")
    files = {item.path for item in registry.client.list_artifacts(made.tracking, "model")}
    assert version.run_id == made.tracking
    assert version.status == "READY"
    assert version.description == "Who leaves next month."
    assert "model/MLmodel" in files
    assert version.tags["nbprod.digest"] == "d" * 64


def test_registering_goes_on_where_it_was_killed(registry: Any, tmp_path: Path) -> None:
    tracking = registry.record(a_run(train_stage(tmp_path)), str(tmp_path), GIT)
    registry.client.set_tag(tracking, "nbprod.model", "d" * 64)
    registry.client.log_artifacts(tracking, str(model_folder(tmp_path / "half", "half")), "model")

    made = registry.register(registration(model_folder(tmp_path / "whole", "whole"), tracking))

    folder = Path(registry.download("churn", made.version, str(tmp_path / "back")))
    assert (folder / "model.txt").read_text(encoding="utf-8") == "whole"


@pytest.mark.parametrize("how", ["delete", "purge"])
def test_a_version_whose_run_was_deleted_is_as_usable_as_before(registry: Any, tmp_path: Path, how: str) -> None:
    made = registered(registry, tmp_path)
    registry.client.delete_run(made.tracking)
    if how == "purge":
        registry.client._tracking_client.store._hard_delete_run(made.tracking)
    statement = Statement(schema="nbprod/registration/1", subject=made.digest)

    assert [version.ref for version in registry.versions()] == ["churn/1"]
    assert (Path(registry.download("churn", "1", str(tmp_path / "back"))) / "MLmodel").is_file()
    registry.attach("churn", "1", statement)
    (kept,) = (tmp_path / ".nbprod" / "artifacts").rglob("nbprod/statements/*.json")
    assert kept.stem == sha256_file(kept)


def test_a_version_that_nbprod_did_not_make_is_listed_without_an_entry(registry: Any, tmp_path: Path) -> None:
    registry.client.create_registered_model("theirs")
    registry.client.create_model_version("theirs", source=str(model_folder(tmp_path / "theirs")), tags={"a": "b"})

    (found,) = registry.versions()

    assert (found.ref, found.digest, found.keys, found.run, found.tags) == ("theirs/1", "", "", "", {"a": "b"})


def test_a_name_with_a_quote_in_it_is_found(registry: Any, tmp_path: Path) -> None:
    tracking = registry.record(a_run(train_stage(tmp_path)), str(tmp_path), GIT)
    registry.register(registration(model_folder(tmp_path / "made"), tracking, name="o'neill"))

    assert [version.name for version in registry.versions("o'neill")] == ["o'neill"]


@pytest.mark.parametrize("name", ["churn.v2", "o'neill", "100%", "größe"])
def test_the_log_of_a_model_of_any_name_is_found_again(registry: Any, tmp_path: Path, name: str) -> None:
    tracking = registry.record(a_run(train_stage(tmp_path)), str(tmp_path), GIT)
    registry.register(registration(model_folder(tmp_path / "made"), tracking, name=name))

    registry.append(name, 1, "one")

    assert (registry.lines(name), registry.head(name)) == (("one",), head_of(1, "one"))


def test_a_statement_that_was_changed_in_the_registry_is_refused(registry: Any, tmp_path: Path) -> None:
    made = registered(registry, tmp_path)
    registry.attach("churn", "1", Statement(schema="nbprod/approval/1", subject=made.digest, body={"reason": "good"}))
    (kept,) = (tmp_path / ".nbprod" / "artifacts").rglob("nbprod/statements/*.json")
    (kept.parent / ".DS_Store").write_text("what a file browser leaves", encoding="utf-8")
    assert len(registry.statements("churn", "1")) == 1

    kept.write_bytes(kept.read_bytes().replace(b"good", b"gold"))

    with pytest.raises(ArtifactError, match="is not the one that was written"):
        registry.statements("churn", "1")


def test_a_deleted_experiment_keeps_its_audit_logs(registry: Any, tmp_path: Path) -> None:
    registered(registry, tmp_path)
    registry.append("churn", 1, "one")
    registry.client.delete_experiment(registry.experiment("nbprod-audit"))

    assert registry.lines("churn") == ("one",)
    registry.append("churn", 2, "two")
    assert registry.lines("churn") == local_lines(registry.local, "churn") == ("one", "two")
    assert registry.head("churn") == local_head(registry.local, "churn") == head_of(2, "two")


def test_the_database_of_an_older_mlflow_is_said_with_what_to_do(registry_cache: Path, tmp_path: Path) -> None:
    from nbprod.registry.connection import make_database
    from nbprod.registry.mlflow import MlflowRegistry

    prepare(tmp_path / "old.db", tmp_path, make_database)
    with closing(sqlite3.connect(tmp_path / "old.db")) as database, database:
        database.execute("update alembic_version set version_num = '90e64c465722'")

    with pytest.raises(RegistryError, match=r"made by an older MLflow.*mlflow db upgrade sqlite:///"):
        MlflowRegistry(f"sqlite:///{tmp_path}/old.db", tmp_path).versions()


def test_a_file_that_is_no_database_is_a_registry_error(registry_cache: Path, tmp_path: Path) -> None:
    from nbprod.registry.mlflow import MlflowRegistry

    (tmp_path / "other.db").write_text("hello " * 1000, encoding="utf-8")

    with pytest.raises(RegistryError, match="not a database"):
        MlflowRegistry(f"sqlite:///{tmp_path}/other.db", tmp_path).versions()


def test_the_log_of_erasures_belongs_to_no_model_and_is_read_without_mlflow(registry: Any, tmp_path: Path) -> None:
    assert (registry.lines(ERASURES), registry.head(ERASURES)) == ((), "")
    registry.append(ERASURES, 1, '{"one": 1}')
    registry.append(ERASURES, 2, '{"two": 2}')
    with pytest.raises(AliasConflict):
        registry.append(ERASURES, 2, '{"other": 2}')

    path = tmp_path / ".nbprod" / "mlflow.db"
    assert registry.lines(ERASURES) == local_lines(path, ERASURES) == ('{"one": 1}', '{"two": 2}')
    assert registry.head(ERASURES) == local_head(path, ERASURES) == head_of(2, '{"two": 2}')
    assert registry.versions() == ()
