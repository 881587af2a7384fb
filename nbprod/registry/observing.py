"""What a notebook logged with plain MLflow calls, found by the tags that `nbprod.registry.context` gave it.

Runs below others, such as the candidates of a parameter search, count only where they are unambiguous: a metric that
several of them have describes none of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nbprod.entities import Metric
from nbprod.registry import ATTEMPT_TAG, RECORD_TAG, RUN_TAG, STAGE_TAG, Observed
from nbprod.store import written_whole

PARENT = "mlflow.parentRunId"
DEPTH = 3
"""How deep a model may lie among a run's artifacts."""


def observe(client: Any, run: str, stage: str, *, folder: Path, fetch: Callable[[str], str]) -> Observed:
    """Everything that was logged in a stage's kernel; see `nbprod.registry.Registry.observed`.

    Args:
        client: an ``MlflowClient``.
        fetch: URI of artifacts -> folder on this machine.
    """
    experiments = [str(experiment.experiment_id) for experiment in pages(client.search_experiments)]
    if not experiments:
        return Observed()
    query = f"tags.`{RUN_TAG}` = '{run}' and tags.`{STAGE_TAG}` = '{stage}'"
    found = list(pages(client.search_runs, experiment_ids=experiments, filter_string=query))
    found = _last_attempt([item for item in found if RECORD_TAG not in item.data.tags])
    found.sort(key=lambda item: (item.info.start_time, item.info.end_time or 0))
    ids = {item.info.run_id for item in found}
    tops = [item for item in found if item.data.tags.get(PARENT) not in ids]
    below = [item for item in found if item.data.tags.get(PARENT) in ids]
    models = list(pages(client.search_logged_models, experiment_ids=experiments, filter_string=query))
    return Observed(
        runs=tuple(item.info.run_id for item in (*tops, *below)),
        metrics=tuple(_metrics(client, tops, below, stage)),
        params={name: value for item in tops for name, value in item.data.params.items()},
        models=_bring(client, found, _last_attempt(models), folder=folder, fetch=fetch),
    )


def pages(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """All results of one of MLflow's searches, page by page."""
    token = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _tags(item: Any) -> dict[str, str]:
    found: dict[str, str] = item.tags if hasattr(item, "tags") else item.data.tags
    return found


def _last_attempt(items: list[Any]) -> list[Any]:
    """Only what the last attempt at the stage logged; a failed one before it left the rest."""
    attempts = [int(_tags(item).get(ATTEMPT_TAG) or 0) for item in items]
    return [item for item, attempt in zip(items, attempts, strict=True) if attempt == max(attempts)]


def _metrics(client: Any, tops: list[Any], below: list[Any], stage: str) -> Iterator[Metric]:
    """The metrics of the runs at the top, a later run's before an earlier one's; then those that a single child has."""
    owner = {name: item.info.run_id for item in tops for name in item.data.metrics}
    children: dict[str, list[str]] = {}
    for item in below:
        for name in item.data.metrics:
            children.setdefault(name, []).append(item.info.run_id)
    for name, runs in children.items():
        if len(runs) == 1:
            owner.setdefault(name, runs[0])
    for name, run_id in owner.items():
        if not name.startswith("system/"):
            yield _metric(client.get_metric_history(run_id, name), name, stage)


def _metric(history: list[Any], name: str, stage: str) -> Metric:
    """A metric with its curve. What autolog calls ``training_...`` was measured on the rows it was fitted on."""
    points = sorted(history, key=lambda point: (point.step, point.timestamp))
    stepped = len({point.step for point in points}) > 1
    known = getattr(points[-1], "dataset_name", None)
    return Metric(
        name=name,
        value=points[-1].value,
        dataset=known or ("train" if name.startswith("training_") else "test"),
        curve=tuple((point.step, point.value) for point in points) if stepped else (),
        stage=stage,
    )


def _bring(
    client: Any, runs: list[Any], logged: list[Any], *, folder: Path, fetch: Callable[[str], str]
) -> dict[str, str]:
    """Copy the models, each under its name; of several with one name the last."""
    sources: dict[str, str] = {}
    for item in runs:
        sources.update(_run_models(client, item.info))
    for model in sorted(logged, key=lambda model: int(model.creation_timestamp)):
        if str(model.status) in ("READY", "LoggedModelStatus.READY"):
            sources[str(model.name)] = str(model.artifact_location)
    brought: dict[str, str] = {}
    for name, uri in sources.items():
        target = folder / name
        if not target.exists():  # what the notebook logged with nbprod under this name comes first
            with written_whole(target) as part:
                shutil.copytree(fetch(uri), part)
        brought[name] = str(target)
    return brought


def _run_models(client: Any, info: Any) -> dict[str, str]:
    """Path -> URI of models that lie among a run's artifacts, where MLflow 2 kept them."""
    return {
        path: f"{info.artifact_uri.rstrip('/')}/{path}" for path in _model_folders(client, info.run_id, [None], DEPTH)
    }


def _model_folders(client: Any, run_id: str, folders: Iterable[str | None], depth: int) -> Iterator[str]:
    for folder in folders:
        items = client.list_artifacts(run_id, folder)
        if folder and any(item.path == f"{folder}/MLmodel" for item in items):
            yield folder
        elif depth:
            yield from _model_folders(client, run_id, [item.path for item in items if item.is_dir], depth - 1)
