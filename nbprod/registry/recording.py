"""A pipeline's run in MLflow's terms: a record for the run, and one for every stage that ran. MLflow is not imported.

A metric on the dataset ``test`` keeps its plain name, so that it can be compared across runs; on another dataset it is
``<dataset>/<name>``, which MLflow's pages group. Bounds of an interval are metrics, too: ``<name>.lower``, ``.upper``.
"""

from __future__ import annotations

import getpass
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nbprod.entities import JSON, Artifact, Fact, Metric, Run, StageRun
from nbprod.registry import RECORD_TAG, RUN_TAG, STAGE_TAG

STATUS = {
    "succeeded": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "running": "RUNNING",
    "skipped": "KILLED",
}
"""nbprod's word -> MLflow's."""

SMALL = 10_000_000
"""Artifacts up to this many bytes are shown in MLflow; larger ones stay under ``runs/`` and in the store."""

PARAM_LENGTH = 6000
TAG_LENGTH = 8000
NAME_LENGTH = 250
DIGEST_LENGTH = 32
"""MLflow takes 36 characters of a dataset's digest: the first 32 of its sha256 stand there, the whole in a tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Fact):
    """One value of a metric; `time` in ms since 1970."""

    name: str
    value: float
    time: int
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetUse(Fact):
    """A dataset that was read.

    Attributes:
        context: what it was used for: ``train``, ``test``, or the name of the parameter.
        profile: rows, columns and bytes, where known.
    """

    name: str
    sha256: str
    uri: str
    context: str
    profile: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Fact):
    """One record in MLflow's terms; times in ms since 1970.

    Attributes:
        artifacts: path relative to the project's root -> folder in the record, ``""`` for its top.
        adopted: ids of MLflow runs that the notebook made itself, to be shown below this one.
    """

    name: str
    status: str
    start: int
    end: int
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    datasets: tuple[DatasetUse, ...] = ()
    artifacts: dict[str, str] = field(default_factory=dict)
    adopted: tuple[str, ...] = ()


def milliseconds(time: str) -> int:
    """An ISO 8601 time in ms since 1970; now, if there is none."""
    found = datetime.fromisoformat(time) if time else datetime.now(UTC)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def safe_name(name: str) -> str:
    """A name that MLflow takes for a metric, parameter or tag: other characters become ``_``."""
    cleaned = re.sub(r"_+(?=/|$)", "", re.sub(r"[^/\w.\- :]+", "_", name))  # test[sex=1]/auc -> test_sex_1/auc
    return (posixpath.normpath(cleaned).lstrip("/.") or "_")[:NAME_LENGTH]


def run_entry(run: Run, *, tags: Mapping[str, str], datasets: Mapping[str, Mapping[str, JSON]] | None = None) -> Entry:
    """The record of the run as a whole: parameters, metrics and inputs of all its stages, reused ones included."""
    params = {f"{stage}.{name}": value for stage, values in run.params.items() for name, value in dict(values).items()}
    params |= {f"{stage.stage}.{name}": value for stage in run.stages for name, value in stage.params.items()}
    reused = [stage.stage for stage in run.stages if stage.action == "reuse"]
    read = {a.sha256: a for stage in run.stages for a in stage.inputs.values()}
    made = {a.sha256 for stage in run.stages for a in stage.outputs.values()} - set(datasets or {})
    made |= _models(run)
    return Entry(
        name=run.id,
        status=STATUS[run.status],
        start=milliseconds(run.started),
        end=milliseconds(run.ended),
        tags=_tags({
            "mlflow.user": _user(),
            "mlflow.source.name": run.pipeline,
            "mlflow.source.type": "PROJECT",
            **tags,
            RUN_TAG: run.id,
            RECORD_TAG: "run",
            "nbprod.pipeline": run.pipeline,
            "nbprod.reused": ", ".join(reused),
        }),
        params=_params(params),
        points=tuple(_run_points(run)),
        datasets=tuple(_use(artifact, datasets) for sha256, artifact in read.items() if sha256 not in made),
    )  # fmt: skip


def stage_entry(
    stage: StageRun, run: Run, *, tags: Mapping[str, str], datasets: Mapping[str, Mapping[str, JSON]] | None = None
) -> Entry:
    """The record of a stage that ran."""
    artifacts = {stage.executed.uri: ""} if stage.executed else {}
    prefix = f"runs/{run.id}/{stage.stage}/"
    for artifact in stage.outputs.values():
        if artifact.role == "artifact" and artifact.size <= SMALL:
            artifacts[artifact.uri] = posixpath.dirname(artifact.uri.removeprefix(prefix))
    models = _models(run)
    read = {artifact.sha256: artifact for artifact in stage.inputs.values()}
    return Entry(
        name=stage.stage,
        status=STATUS[stage.status],
        start=milliseconds(stage.started or run.started),
        end=milliseconds(stage.ended or run.ended),
        tags=_tags({
            "mlflow.user": _user(),
            **{name: value for name, value in tags.items() if name.startswith("mlflow.source.git.")},
            "mlflow.source.name": stage.notebook,
            "mlflow.source.type": "LOCAL",
            RUN_TAG: run.id,
            STAGE_TAG: stage.stage,
            RECORD_TAG: "stage",
            "nbprod.pipeline": run.pipeline,
            "nbprod.key": stage.key,
            "nbprod.reasons": "; ".join(stage.reasons),
            "nbprod.error": _error(stage),
            **{f"nbprod.output.{output.name}": output.sha256 for output in stage.outputs.values()},
            **{f"nbprod.input.{artifact.name}": sha256 for sha256, artifact in read.items() if sha256 in models},
        }),
        params=_params(stage.params),
        points=tuple(_points(stage.metrics, milliseconds(stage.ended or run.ended))),
        datasets=tuple(_use(a, datasets) for sha256, a in read.items() if sha256 not in models),
        artifacts=artifacts,
        adopted=stage.tracked,
    )  # fmt: skip


def ran(run: Run) -> tuple[StageRun, ...]:
    """The stages that ran in this run, well or not; neither reused ones nor those that were never begun."""
    return tuple(stage for stage in run.stages if stage.action == "run" and stage.status != "skipped")


def _models(run: Run) -> frozenset[str]:
    """The digests of models that the run's stages made: a stage may read one, but it is no dataset."""
    return frozenset(a.sha256 for stage in run.stages for a in stage.outputs.values() if a.role == "model")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        return ""


def _error(stage: StageRun) -> str:
    if stage.error is None:
        return ""
    return f"cell {stage.error.cell}: {stage.error.message}" if stage.error.cell else stage.error.message


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {safe_name(name): str(value)[:TAG_LENGTH] for name, value in tags.items() if value}


def _params(params: Mapping[str, JSON]) -> dict[str, str]:
    return {
        safe_name(name): (json.dumps(value) if isinstance(value, (dict, list)) else str(value))[:PARAM_LENGTH]
        for name, value in params.items()
    }


def metric_name(metric: Metric) -> str:
    """What a metric is called in MLflow."""
    return safe_name(metric.name if metric.dataset in ("", "test") else f"{metric.dataset}/{metric.name}")


def _points(metrics: tuple[Metric, ...], time: int) -> Iterator[Point]:
    for metric in metrics:
        name = metric_name(metric)
        for step, value in metric.curve or ((0, metric.value),):
            yield Point(name=name, value=value, time=time, step=int(step))
        for bound, value in zip(("lower", "upper"), metric.interval or (), strict=False):
            yield Point(name=safe_name(f"{name}.{bound}"), value=value, time=time)


def _run_points(run: Run) -> Iterator[Point]:
    """The last value of every metric; where two stages use one name, each has its stage before it."""
    count: dict[str, int] = {}
    for stage in run.stages:
        for name in {metric_name(metric) for metric in stage.metrics}:
            count[name] = count.get(name, 0) + 1
    time = milliseconds(run.ended)
    for stage in run.stages:
        for metric in stage.metrics:
            name = metric_name(metric)
            if count[name] > 1:
                name = safe_name(f"{stage.stage}/{name}")
            yield Point(name=name, value=metric.value, time=time)


def _use(artifact: Artifact, datasets: Mapping[str, Mapping[str, JSON]] | None) -> DatasetUse:
    known = (datasets or {}).get(artifact.sha256, {})
    profile = {name: known[name] for name in ("rows", "columns") if known.get(name) is not None}
    return DatasetUse(
        name=posixpath.basename(artifact.uri.rstrip("/")) or artifact.name,
        sha256=artifact.sha256,
        uri=artifact.uri,
        context=str(known.get("role") or artifact.name),
        profile={**profile, "bytes": artifact.size},
    )
