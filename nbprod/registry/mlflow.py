"""The registry on MLflow: SQLite under the project by default, any MLflow server by its URI.

It runs in a process of its own (`nbprod.registry.process`, which turns telemetry off), so it imports MLflow at the top.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from nbprod.entities import JSON, ModelVersion, Run, Statement
from nbprod.registry import RECORD_TAG, RUN_TAG, Observed, Registration, head_of, is_behind
from nbprod.registry.auditing import (
    ERASURES,
    EXPERIMENT,
    HEAD_TAG,
    append_local,
    append_remote,
    local_folder,
    read_local,
    read_remote,
)
from nbprod.registry.connection import Connection
from nbprod.registry.observing import PARENT, observe, pages
from nbprod.registry.recording import DIGEST_LENGTH, DatasetUse, Entry, ran, run_entry, stage_entry
from nbprod.registry.statements import STATEMENTS, read_file, statement_bytes, statement_name

DIGEST_TAG = "nbprod.digest"
KEYS_TAG = "nbprod.keys"
MODEL_TAG = "nbprod.model"
"""On a run's record: digest of the entry whose folder is its artifact ``model``."""

MODEL = "model"
"""Where a registered folder lies among the artifacts of its run's record."""

BATCH = 100
"""How many parameters or tags MLflow takes at once; of metrics ten times as many."""

TRIES = 5
"""So often datasets are logged while other processes log the same ones."""

SETTLE = 0.3
"""Seconds after which a line that two wrote to a server at once has one content."""


class MlflowRegistry(Connection):
    """See `nbprod.registry.Registry`, and `Connection` for how it is opened."""

    def experiment(self, name: str) -> str:
        """The experiment's id; a new one keeps its files under the project when the registry is local."""
        with self.translated(f"open the experiment '{name}'"):
            known = self.client.get_experiment_by_name(name)
            if known is None:
                location = (self.artifacts / _folder_name(name)).absolute().as_uri() if self.local else None
                try:
                    return str(self.client.create_experiment(name, artifact_location=location))
                except MlflowException:
                    known = self.client.get_experiment_by_name(name)  # another process made it meanwhile
                    if known is None:
                        raise
            elif known.lifecycle_stage != "active":
                self.client.restore_experiment(known.experiment_id)
            return str(known.experiment_id)

    def observed(self, run: str, stage: str, folder: str) -> Observed:
        """What carries the stage's tags, in whatever experiment."""
        with self.translated(f"read what stage '{stage}' logged"):
            return observe(self.client, run, stage, folder=Path(folder), fetch=self.fetch)

    def record(
        self, run: Run, root: str, tags: Mapping[str, str], datasets: Mapping[str, Mapping[str, JSON]] | None = None
    ) -> str:
        """One MLflow run, with a child run for each stage that ran. It is closed last: an open one is half a record."""
        experiment = self.experiment(run.pipeline)
        with self.translated(f"record the run {run.id}"):
            if known := self._recorded(run.id, experiment):
                return known
            entry = run_entry(run, tags=tags, datasets=datasets)
            parent = _write(self.client, experiment, entry, Path(root))
            for stage in ran(run):
                below = stage_entry(stage, run, tags=tags, datasets=datasets)
                child = _write(self.client, experiment, below, Path(root), {PARENT: parent})
                self.client.set_terminated(child, below.status, below.end)
                _adopt(self.client, below.adopted, child, experiment)
            self.client.set_terminated(parent, entry.status, entry.end)
            return parent

    def _recorded(self, run: str, experiment: str) -> str:
        """The record of a run, if there is a whole one; half a one, left by a process that was killed, is deleted."""
        query = f"tags.`{RUN_TAG}` = '{run}' and tags.`{RECORD_TAG}` != 'none'"
        found = list(pages(self.client.search_runs, experiment_ids=[experiment], filter_string=query))
        for record in found:
            if record.data.tags[RECORD_TAG] == "run" and record.info.status != "RUNNING":
                return str(record.info.run_id)
        for record in found:
            self.client.delete_run(record.info.run_id)
        return ""

    def register(self, registration: Registration) -> ModelVersion:
        """Log the folder as an artifact of the run's record and make a version of it."""
        with self.translated(f"register '{registration.name}'"):
            for known in self._search(registration.name):
                if known.digest == registration.digest:
                    return known
            run = self.client.get_run(registration.tracking)
            folder = MODEL
            if run.data.tags.get(MODEL_TAG, registration.digest) != registration.digest:
                folder = f"{MODEL}-{registration.digest[:12]}"  # the run made another version already
            else:
                self.client.set_tag(registration.tracking, MODEL_TAG, registration.digest)
            self.client.log_artifacts(registration.tracking, registration.folder, folder)
            _make_model(self.client, registration.name)
            tags = {
                **registration.tags,
                DIGEST_TAG: registration.digest,
                KEYS_TAG: registration.keys,
                RUN_TAG: registration.run,
            }
            made = self.client.create_model_version(
                registration.name,
                source=f"{run.info.artifact_uri.rstrip('/')}/{folder}",
                run_id=registration.tracking,
                tags={name: value for name, value in tags.items() if value},
                description=registration.description or None,
            )
            return _version(made, ())

    def versions(self, name: str | None = None) -> tuple[ModelVersion, ...]:
        """Newest first within a name."""
        with self.translated("list the versions"):
            return tuple(self._search(name))

    def _search(self, name: str | None) -> list[ModelVersion]:
        query = "" if name is None else f"name = {_quoted(name)}"
        aliases: dict[tuple[str, str], list[str]] = {}
        for model in pages(self.client.search_registered_models, filter_string=query):
            for alias, version in (model.aliases or {}).items():
                aliases.setdefault((model.name, str(version)), []).append(alias)
        found = pages(self.client.search_model_versions, filter_string=query)
        versions = [_version(item, aliases.get((item.name, str(item.version)), ())) for item in found]
        return sorted(versions, key=lambda version: (version.name, -int(version.version)))

    def download(self, name: str, version: str, target: str, part: str = "") -> str:
        """Bring a version's folder, or a part of it, here. It works without the run that made it."""
        with self.translated(f"fetch {name}/{version}"):
            source = str(self.client.get_model_version_download_uri(name, version)).rstrip("/")
            Path(target).mkdir(parents=True, exist_ok=True)
            return self.fetch(f"{source}/{part}" if part else source, target)

    def attach(self, name: str, version: str, statement: Statement) -> None:
        """Keep a statement among the artifacts of the version's run, whether that run was deleted or not."""
        with self.translated(f"attach a statement to {name}/{version}"):
            files = self.beside(name, version)
            file = statement_name(statement)
            if any(posixpath.basename(item.path) == file for item in files.list_artifacts(STATEMENTS)):
                return
            with tempfile.TemporaryDirectory(prefix="nbprod-") as folder:
                path = Path(folder, file)
                path.write_bytes(statement_bytes(statement))
                files.log_artifact(str(path), STATEMENTS)

    def statements(self, name: str, version: str) -> tuple[Statement, ...]:
        """Those among the artifacts of the version's run."""
        with self.translated(f"read the statements about {name}/{version}"):
            files = self.beside(name, version)
            with tempfile.TemporaryDirectory(prefix="nbprod-") as folder:
                paths = [item.path for item in files.list_artifacts(STATEMENTS) if item.path.endswith(".json")]
                found = [read_file(Path(files.download_artifacts(path, folder))) for path in paths]
        return tuple(sorted(found, key=lambda statement: statement.created))

    def point(self, name: str, alias: str, version: str) -> None:
        """MLflow keeps neither who nor when; the audit log does."""
        with self.translated(f"move the alias '{alias}' of '{name}'"):
            if version:
                self.client.set_registered_model_alias(name, alias, version)
            else:
                self.client.delete_registered_model_alias(name, alias)

    def lines(self, name: str) -> tuple[str, ...]:
        """In the folder of artifacts of an experiment of its own."""
        with self.translated(f"read the audit log of '{name}'"):
            known = self.client.get_experiment_by_name(EXPERIMENT)
            if known is None:
                return ()
            folder = local_folder(known.artifact_location, name)
            return read_remote(self.files(known.artifact_location), name) if folder is None else read_local(folder)

    def append(self, name: str, number: int, line: str) -> None:
        """A local folder decides who is first; behind a server a line is read back."""
        experiment = self.experiment(EXPERIMENT)
        with self.translated(f"write the audit log of '{name}'"):
            location = self.client.get_experiment(experiment).artifact_location
            folder = local_folder(location, name)
            if folder is None:
                append_remote(self.files(location), name, number, line, pause=lambda: time.sleep(SETTLE))
            else:
                append_local(folder, name, number, line)
            if is_behind(self.head(name), number):
                if name == ERASURES:
                    self.client.set_experiment_tag(experiment, HEAD_TAG, head_of(number, line))
                else:
                    self.client.set_registered_model_tag(name, HEAD_TAG, head_of(number, line))

    def head(self, name: str) -> str:
        """A tag of the registered model; of the experiment for the log that belongs to none."""
        with self.translated(f"read the audit log of '{name}'"):
            if name == ERASURES:
                known = self.client.get_experiment_by_name(EXPERIMENT)
                return "" if known is None else str((known.tags or {}).get(HEAD_TAG, ""))
            return str((self.client.get_registered_model(name).tags or {}).get(HEAD_TAG, ""))


def _write(
    client: MlflowClient, experiment: str, entry: Entry, root: Path, more: Mapping[str, str] | None = None
) -> str:
    """Write one record; it stays open."""
    tags = list({**entry.tags, **(more or {})}.items())
    made = client.create_run(experiment, start_time=entry.start, run_name=entry.name, tags=dict(tags[:BATCH]))
    run_id = str(made.info.run_id)
    for some in _batches([RunTag(name, value) for name, value in tags[BATCH:]], BATCH):
        client.log_batch(run_id, tags=some)
    for some in _batches([Param(name, value) for name, value in entry.params.items()], BATCH):
        client.log_batch(run_id, params=some)
    points = [Metric(point.name, point.value, point.time, point.step) for point in entry.points]
    for some in _batches(points, 10 * BATCH):
        client.log_batch(run_id, metrics=some)
    if entry.datasets:
        _log_datasets(client, run_id, [_dataset(use) for use in entry.datasets])
    for name, folder in entry.artifacts.items():
        path = root / name
        if path.is_dir():
            client.log_artifacts(run_id, str(path), f"{folder}/{path.name}".lstrip("/"))
        elif path.is_file():
            client.log_artifact(run_id, str(path), folder or None)
    return run_id


def _log_datasets(client: MlflowClient, run_id: str, datasets: list[Any]) -> None:
    """Log inputs; another process may log the same new dataset between MLflow's look for it and its writing."""
    for left in reversed(range(TRIES)):
        try:
            client.log_inputs(run_id, datasets=datasets)
            return
        except MlflowException as error:
            text = str(error).lower()
            if not left or "datasets" not in text or not ("unique" in text or "duplicate" in text):
                raise


def _adopt(client: MlflowClient, run_ids: Sequence[str], parent: str, experiment: str) -> None:
    """Show the runs that a notebook made below the stage's own, where MLflow's page can: in the same experiment."""
    for run_id in run_ids:
        with contextlib.suppress(MlflowException):  # it may have been deleted, and the record is whole without it
            found = client.get_run(run_id)
            if found.info.experiment_id == experiment and PARENT not in found.data.tags:
                client.set_tag(run_id, PARENT, parent)


def _make_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _folder_name(name: str) -> str:
    """A folder's name for an experiment, which may be called anything."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "experiment"


def _quoted(name: str) -> str:
    return f'"{name}"' if "'" in name else f"'{name}'"


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _dataset(use: DatasetUse) -> DatasetInput:
    dataset = Dataset(
        name=use.name[:500],
        digest=use.sha256[:DIGEST_LENGTH],
        source_type="local" if "://" not in use.uri else use.uri.partition("://")[0],
        source=json.dumps({"uri": use.uri}),
        profile=json.dumps(use.profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", use.context), InputTag("nbprod.sha256", use.sha256)])


def _version(found: Any, aliases: Sequence[str]) -> ModelVersion:
    tags = dict(found.tags or {})
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        digest=tags.pop(DIGEST_TAG, ""),
        keys=tags.pop(KEYS_TAG, ""),
        run=tags.pop(RUN_TAG, ""),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="milliseconds"),
        aliases=tuple(sorted(aliases)),
        tracking=found.run_id or "",
        tags=tags,
    )
