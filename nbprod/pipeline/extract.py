"""What a stage reported, read from its executed notebook: a pure function of the notebook's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nbprod.entities import JSON, Metric
from nbprod.errors import NotebookError
from nbprod.records import Record, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What one notebook reported, each thing once, in the order in which it was first reported.

    Attributes:
        artifacts: paths relative to the stage's folder; they are their names, too.
        models: the same for models.
    """

    metrics: tuple[Metric, ...] = ()
    artifacts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(slots=True)
class _Series:
    last: Record
    curve: list[tuple[float, float]] = field(default_factory=list)

    def metric(self, stage: str) -> Metric:
        return Metric(
            name=self.last.name,
            value=self.last.value,
            dataset=self.last.dataset,
            interval=self.last.interval,
            curve=tuple(self.curve),
            stage=stage,
        )


def extract(notebook: Mapping[str, JSON], *, stage: str) -> Extract:
    """The metrics, artifacts and models that a notebook reported; what came before a cell that failed counts.

    A metric is known by its name and dataset: its last value is the metric, and all values that were logged with a
    step, in the order of logging, are its curve.

    Args:
        notebook: the executed notebook as ``json.load`` gives it.
        stage: the stage that it was executed for.

    Raises:
        NotebookError: a record is damaged or of a newer schema, with its cell and the stage.
    """
    series: dict[tuple[str, str], _Series] = {}
    paths: dict[str, dict[str, None]] = {"artifact": {}, "model": {}}
    try:
        records = read(notebook)
    except NotebookError as error:
        raise NotebookError(error.message, cell=error.cell, stage=stage) from error
    for record in records:
        if record.kind != "metric":
            paths[record.kind][record.value["path"]] = None
            continue
        entry = series.setdefault((record.name, record.dataset), _Series(last=record))
        entry.last = record
        if record.step is not None:
            entry.curve.append((record.step, record.value))
    return Extract(
        metrics=tuple(entry.metric(stage) for entry in series.values()),
        artifacts=tuple(paths["artifact"]),
        models=tuple(paths["model"]),
    )
