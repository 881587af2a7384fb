"""What every registry does, whatever it is made of: the same tests for the one in memory and for MLflow."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from nbprod.entities import Metric, ModelVersion, Statement
from nbprod.errors import AliasConflict, RegistryError
from nbprod.registry import RUN_TAG, STAGE_TAG, Observed, Registry, choose, head_of, parse_ref
from nbprod.registry.memory import MemoryRegistry
from tests.registry.made import (
    GIT,
    RUN,
    a_run,
    failed_stage,
    model_folder,
    prepare_stage,
    registration,
    skipped_stage,
    train_stage,
)

STATEMENT = Statement(
    schema="nbprod/registration/1", subject="d" * 64, created="2026-01-01T12:01:00.000+00:00", body={"version": "1"}
)


class World(Protocol):
    """What a test does to the registry from outside, and sees of it."""

    @property
    def registry(self) -> Registry:
        """What is tested."""
        ...

    def log(self, *, run: str, stage: str, model: Path) -> str:
        """What a notebook does with plain MLflow; returns the id of its run."""
        ...

    def move_alias(self, name: str, alias: str, version: str) -> None:
        """What a person does on the registry's page."""
        ...

    def records(self) -> list[dict[str, Any]]:
        """The records of runs: name, status, start, end, params, metrics, parent's name."""
        ...

    def statements(self, version: ModelVersion) -> list[str]:
        """The names of the statements beside a version."""
        ...


@dataclass
class MemoryWorld:
    """The registry in memory."""

    registry: MemoryRegistry

    def log(self, *, run: str, stage: str, model: Path) -> str:
        """Say what is to be observed."""
        metrics = (
            Metric(name="accuracy", value=0.75, stage=stage),
            Metric(name="loss", value=0.1, curve=((0, 0.5), (1, 0.1)), stage=stage),
        )
        self.registry.seen[run, stage] = Observed(
            runs=("plain",), metrics=metrics, params={"depth": "3"}, models={"forest": str(model)}
        )
        return "plain"

    def move_alias(self, name: str, alias: str, version: str) -> None:
        """Move it."""
        self.registry.aliases[(name, alias)] = version

    def records(self) -> list[dict[str, Any]]:
        """From what was kept."""
        entries, parents = self.registry.entries, self.registry.parents
        return [
            {
                "name": entry.name,
                "status": entry.status,
                "start": entry.start,
                "end": entry.end,
                "params": entry.params,
                "metrics": {point.name for point in entry.points},
                "parent": entries[parents[key]].name if key in parents else None,
            }
            for key, entry in entries.items()
        ]

    def statements(self, version: ModelVersion) -> list[str]:
        """From what was kept."""
        return sorted(self.registry.said.get((version.name, version.version), {}))


@dataclass
class MlflowWorld:
    """MLflow on a SQLite file, seen with MLflow's own client."""

    registry: Registry
    uri: str

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def log(self, *, run: str, stage: str, model: Path) -> str:
        """A run in an experiment of its own, with a model among its artifacts."""
        client = self._client()
        experiment = client.create_experiment("somewhere else", artifact_location=model.parent.as_uri())
        made = client.create_run(experiment, tags={RUN_TAG: run, STAGE_TAG: stage}).info.run_id
        client.log_metric(made, "accuracy", 0.75)
        client.log_metric(made, "loss", 0.5, step=0)
        client.log_metric(made, "loss", 0.1, step=1)
        client.log_param(made, "depth", 3)
        client.log_artifacts(made, str(model), "forest")
        client.set_terminated(made)
        return str(made)

    def move_alias(self, name: str, alias: str, version: str) -> None:
        """With MLflow's client."""
        self._client().set_registered_model_alias(name, alias, version)

    def records(self) -> list[dict[str, Any]]:
        """With MLflow's client."""
        client = self._client()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(experiments, "tags.`nbprod.record` != 'none'", order_by=["attributes.start_time ASC"])
        names = {run.info.run_id: run.info.run_name for run in runs}
        return [
            {
                "name": run.info.run_name,
                "status": run.info.status,
                "start": run.info.start_time,
                "end": run.info.end_time,
                "params": run.data.params,
                "metrics": set(run.data.metrics),
                "parent": names.get(run.data.tags.get("mlflow.parentRunId")),
            }
            for run in runs
        ]

    def statements(self, version: ModelVersion) -> list[str]:
        """With MLflow's client."""
        found = self._client().list_artifacts(version.tracking, "nbprod/statements")
        return sorted(Path(item.path).name for item in found)


@pytest.fixture(params=["memory", "mlflow"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A registry that nobody has used yet."""
    if request.param == "memory":
        yield MemoryWorld(MemoryRegistry(tmp_path / "registry"))
        return
    request.getfixturevalue("registry_cache")
    uri, artifacts = f"sqlite:///{tmp_path}/.nbprod/mlflow.db", tmp_path / ".nbprod" / "artifacts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nbprod.registry.mlflow import MlflowRegistry

    yield MlflowWorld(MlflowRegistry(uri, artifacts), uri)


def registered(world: World, tmp_path: Path, digest: str = "d" * 64, run: str = RUN) -> ModelVersion:
    """A run with its model registered."""
    tracking = world.registry.record(a_run(train_stage(tmp_path, run), run=run), str(tmp_path), GIT)
    folder = model_folder(tmp_path / digest[:8], digest)
    return world.registry.register(registration(folder, tracking, digest=digest))


def test_an_experiment_is_made_once(world: World) -> None:
    first = world.registry.experiment("churn")

    assert world.registry.experiment("churn") == first
    assert world.registry.experiment("fraud") != first


def test_what_plain_mlflow_logged_is_observed_in_any_experiment(world: World, tmp_path: Path) -> None:
    logged = world.log(run=RUN, stage="train", model=model_folder(tmp_path / "logged"))

    seen = world.registry.observed(RUN, "train", str(tmp_path / "stage"))

    assert seen.runs == (logged,)
    assert seen.params == {"depth": "3"}
    assert {(m.name, m.value, m.dataset, m.curve) for m in seen.metrics} == {
        ("accuracy", 0.75, "test", ()),
        ("loss", 0.1, "test", ((0, 0.5), (1, 0.1))),
    }
    assert seen.models == {"forest": str(tmp_path / "stage" / "forest")}
    assert (tmp_path / "stage" / "forest" / "MLmodel").is_file()


def test_a_stage_that_logged_nothing_is_observed_as_nothing(world: World, tmp_path: Path) -> None:
    world.log(run=RUN, stage="train", model=model_folder(tmp_path / "logged"))

    assert world.registry.observed(RUN, "evaluate", str(tmp_path / "stage")) == Observed()


def test_a_model_that_is_there_already_is_not_replaced_by_an_observed_one(world: World, tmp_path: Path) -> None:
    world.log(run=RUN, stage="train", model=model_folder(tmp_path / "logged", "observed"))
    model_folder(tmp_path / "stage" / "forest", "logged with nbprod")

    world.registry.observed(RUN, "train", str(tmp_path / "stage"))

    assert (tmp_path / "stage" / "forest" / "model.txt").read_text(encoding="utf-8") == "logged with nbprod"


def test_a_run_is_recorded_with_a_child_for_every_stage_that_ran(world: World, tmp_path: Path) -> None:
    run = a_run(prepare_stage(), train_stage(tmp_path), failed_stage(), skipped_stage(), status="failed")

    world.registry.record(run, str(tmp_path), GIT)

    records = {record["name"]: record for record in world.records()}
    assert set(records) == {RUN, "train", "evaluate"}
    assert records[RUN]["status"] == records["evaluate"]["status"] == "FAILED"
    assert records["train"]["status"] == "FINISHED"
    assert records["train"]["parent"] == records["evaluate"]["parent"] == RUN
    assert records["train"]["end"] - records["train"]["start"] == 30_500
    assert records[RUN]["end"] - records[RUN]["start"] == 60_000
    assert records["train"]["params"] == {"seed": "0", "columns": '["a", "b"]', "note": "x"}
    assert records[RUN]["params"]["prepare.year"] == "2015"
    assert records["train"]["metrics"] == {"roc_auc", "roc_auc.lower", "roc_auc.upper", "train/loss", "lift"}


def test_an_interrupted_run_is_recorded_as_killed(world: World, tmp_path: Path) -> None:
    world.registry.record(a_run(status="interrupted"), str(tmp_path), {})

    assert [record["status"] for record in world.records()] == ["KILLED"]


def test_recording_a_run_twice_changes_nothing(world: World, tmp_path: Path) -> None:
    run = a_run(train_stage(tmp_path))

    first = world.registry.record(run, str(tmp_path), GIT)

    assert world.registry.record(run, str(tmp_path), GIT) == first
    assert len(world.records()) == 2


def test_a_registered_folder_comes_back_as_it_was(world: World, tmp_path: Path) -> None:
    made = registered(world, tmp_path)

    folder = Path(world.registry.download("churn", made.version, str(tmp_path / "back")))

    assert (made.name, made.version, made.digest, made.keys, made.run) == ("churn", "1", "d" * 64, "k" * 64, RUN)
    assert made.tags == {"nbprod.commit": "c" * 40}
    assert made.created.endswith("+00:00")
    assert (folder / "MLmodel").is_file()
    assert (folder / "model.txt").read_text(encoding="utf-8") == "d" * 64


def test_one_file_of_a_version_can_be_fetched_alone(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)

    file = Path(world.registry.download("churn", "1", str(tmp_path / "back"), "nbprod/nbprod.json"))

    assert file.name == "nbprod.json"
    assert not list((tmp_path / "back").rglob("MLmodel"))


def test_registering_the_same_entry_again_gives_the_version_that_is_there(world: World, tmp_path: Path) -> None:
    first = registered(world, tmp_path)
    again = world.registry.register(registration(tmp_path / "dddddddd", first.tracking))

    assert again == first
    assert world.registry.versions("churn") == (first,)


def test_versions_are_listed_newest_first_within_a_name(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    made = registered(world, tmp_path, "e" * 64, "20260102-120000-abcd")
    other = model_folder(tmp_path / "other")
    world.registry.register(registration(other, made.tracking, name="a model", digest="0" * 64))

    found = [(version.name, version.version) for version in world.registry.versions()]

    assert found == [("a model", "1"), ("churn", "2"), ("churn", "1")]
    assert [version.version for version in world.registry.versions("churn")] == ["2", "1"]
    assert world.registry.versions("nobody") == ()


def test_two_models_of_one_run_do_not_mix(world: World, tmp_path: Path) -> None:
    first = registered(world, tmp_path)
    other = model_folder(tmp_path / "other", "other")
    (other / "more.txt").write_text("more", encoding="utf-8")
    world.registry.register(registration(other, first.tracking, name="fraud", digest="0" * 64))

    one = Path(world.registry.download("churn", "1", str(tmp_path / "one")))
    two = Path(world.registry.download("fraud", "1", str(tmp_path / "two")))

    assert (one / "model.txt").read_text(encoding="utf-8") == "d" * 64
    assert not (one / "more.txt").exists()
    assert (two / "more.txt").is_file()


def test_registering_moves_no_alias(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    world.move_alias("churn", "champion", "1")
    registered(world, tmp_path, "e" * 64, "20260102-120000-abcd")

    assert {v.version: v.aliases for v in world.registry.versions("churn")} == {"1": ("champion",), "2": ()}


def test_a_version_is_found_by_number_alias_and_name(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    registered(world, tmp_path, "e" * 64, "20260102-120000-abcd")
    world.move_alias("churn", "champion", "1")

    versions = world.registry.versions()

    assert choose(parse_ref("churn@champion"), versions).version == "1"
    assert choose(parse_ref("churn/1"), versions).version == "1"
    assert choose(parse_ref("churn"), versions).version == "2"


def test_a_statement_is_kept_once(world: World, tmp_path: Path) -> None:
    made = registered(world, tmp_path)

    world.registry.attach("churn", "1", STATEMENT)
    world.registry.attach("churn", "1", STATEMENT)

    (name,) = world.statements(made)
    assert len(name.removesuffix(".json")) == 64


def test_statements_are_read_back_in_the_order_of_their_time(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    later = replace(STATEMENT, schema="nbprod/approval/1", created="2026-01-02T00:00:00.000+00:00")

    assert world.registry.statements("churn", "1") == ()
    world.registry.attach("churn", "1", later)
    world.registry.attach("churn", "1", STATEMENT)

    assert world.registry.statements("churn", "1") == (STATEMENT, later)


def test_an_alias_is_moved_and_removed(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    registered(world, tmp_path, "e" * 64, "20260102-120000-abcd")

    world.registry.point("churn", "champion", "1")
    world.registry.point("churn", "champion", "2")
    assert {v.version: v.aliases for v in world.registry.versions("churn")} == {"1": (), "2": ("champion",)}
    world.registry.point("churn", "champion", "")
    assert {v.version: v.aliases for v in world.registry.versions("churn")} == {"1": (), "2": ()}
    with pytest.raises(RegistryError, match="cannot move the alias 'champion'"):
        world.registry.point("churn", "champion", "9")


def test_the_audit_log_grows_line_by_line(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)

    assert (world.registry.lines("churn"), world.registry.head("churn")) == ((), "")
    world.registry.append("churn", 1, '{"one": 1}')
    world.registry.append("churn", 2, '{"two": "ü"}')

    assert world.registry.lines("churn") == ('{"one": 1}', '{"two": "ü"}')
    assert world.registry.head("churn") == head_of(2, '{"two": "ü"}')
    assert world.registry.lines("chur") == ()


def test_a_line_that_somebody_else_wrote_first_stays(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    world.registry.append("churn", 1, '{"one": 1}')

    for line in ('{"other": 1}', '{"one": 1}'):
        with pytest.raises(AliasConflict, match="somebody else changed the model 'churn' at the same time"):
            world.registry.append("churn", 1, line)
    assert world.registry.lines("churn") == ('{"one": 1}',)
    assert world.registry.head("churn") == head_of(1, '{"one": 1}')


def test_whoever_was_held_up_does_not_note_an_old_line_as_the_last(world: World, tmp_path: Path) -> None:
    registered(world, tmp_path)
    world.registry.append("churn", 2, '{"two": 2}')
    world.registry.append("churn", 1, '{"one": 1}')

    assert world.registry.lines("churn") == ('{"one": 1}', '{"two": 2}')
    assert world.registry.head("churn") == head_of(2, '{"two": 2}')


@pytest.mark.parametrize("missing", ["version", "record", "part"])
def test_what_is_not_there_is_a_registry_error(world: World, tmp_path: Path, missing: str) -> None:
    made = registered(world, tmp_path)
    shutil.rmtree(tmp_path / "runs")

    with pytest.raises(RegistryError, match="cannot"):
        if missing == "version":
            world.registry.attach("churn", "7", STATEMENT)
        elif missing == "record":
            world.registry.register(registration(tmp_path / "dddddddd", "f" * 32, digest="0" * 64))
        else:
            world.registry.download("churn", made.version, str(tmp_path / "back"), "nbprod/nothing.json")
