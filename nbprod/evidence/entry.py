"""The entry ``nbprod.json``: everything that made a model, in canonical JSON; it never changes after registration.

It holds no version number, no alias and no gate result: those are statements that name its digest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbprod.digest import sha256_bytes, sha256_json
from nbprod.entities import Artifact, DatasetCard, Metric, ModelSpec, Pipeline, Run, StageRun
from nbprod.errors import ArtifactError
from nbprod.evidence.data import Shape

SCHEMA = "nbprod/model-version/1"
UNKNOWN = "unknown"
DERIVED = "derived"
"""Instead of a card, of a dataset that a stage made: the cards of what that stage read apply."""

REQUIRED: dict[str, type | tuple[type, ...]] = {
    "schema": str, "name": str, "model": dict, "parent": (dict, type(None)), "run": dict, "source": dict,
    "environment": dict, "inputs": list, "metrics": list, "owner": str, "intended_use": str, "limitations": str,
    "pipeline": dict,
}  # fmt: skip
"""Top-level keys and their types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputEvidence:
    """What is known of one dataset.

    Attributes:
        role: ``train``, ``test``, ... as the pipeline's ``model.data`` says; else ``input``.
        kept: whether its bytes are in the store.
        card: None if there is none.
        measured: ``before_run``, or ``after_run`` when nothing was measured before.
    """

    artifact: Artifact
    role: str
    stage: str = ""
    kept: bool = False
    card: DatasetCard | None = None
    shape: Shape = field(default_factory=Shape)
    measured: str = "before_run"

    def _card(self) -> Any:
        if self.card is not None:
            return _present(self.card.to_dict())
        return DERIVED if self.stage else UNKNOWN

    def entry(self) -> dict[str, Any]:
        """What the entry says of it."""
        return {
            "name": self.artifact.name,
            "stage": self.stage or None,
            "uri": self.artifact.uri,
            "role": self.role,
            "kind": self.artifact.kind,
            "sha256": self.artifact.sha256,
            "bytes": self.artifact.size,
            "rows": self.shape.rows,
            "columns": None if self.shape.columns is None else list(self.shape.columns),
            "kept": self.kept,
            "card": self._card(),
            "measured": self.measured,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that an entry is made of.

    Attributes:
        model: what `nbprod.flavors.describe` found, as a plain dict.
        files: relative path -> sha256 of the model's files.
        artifact: the model as the run left it.
        stages: the stages that made it, as they ended.
        metrics: those that describe it.
        source: ``git`` (a dict or ``unknown``), and what `notebooks_entry` gives.
    """

    spec: ModelSpec
    pipeline: Pipeline
    run: Run
    stages: Sequence[StageRun]
    model: Mapping[str, Any]
    files: Mapping[str, str]
    artifact: Artifact
    metrics: Sequence[Metric]
    inputs: Sequence[InputEvidence]
    source: Mapping[str, Any]
    environment: Mapping[str, Any]
    seed: Any = None
    parent: Mapping[str, Any] | None = None


def build(evidence: Evidence) -> dict[str, Any]:
    """Make the entry."""
    spec = evidence.spec
    entry = {
        "schema": SCHEMA,
        "name": spec.name,
        "model": {
            "sha256": evidence.artifact.sha256,
            "bytes": evidence.artifact.size,
            "files": dict(evidence.files),
            "stage": spec.source.partition(".")[0],
            "flavor": evidence.model["flavor"],
            "serialization": evidence.model["serialization"],
            "signature": {key: evidence.model[key] for key in ("inputs", "outputs", "params")},
            "example": evidence.model["example"],
            "example_predictions": evidence.model["example_predictions"],
            "trusted": list(spec.trusted),
            "requirements": list(evidence.model["requirements"]),
            "target": spec.target or None,
            "groups": list(spec.groups),
            "main_metric": spec.main_metric or None,
        },
        "parent": evidence.parent,
        "run": _run_entry(evidence),
        "source": dict(evidence.source),
        "environment": dict(evidence.environment),
        "inputs": [item.entry() for item in evidence.inputs],
        "metrics": [metric_entry(metric) for metric in evidence.metrics],
        "owner": spec.owner or UNKNOWN,
        "intended_use": spec.intended_use or UNKNOWN,
        "limitations": spec.limitations or UNKNOWN,
        "pipeline": {
            "name": evidence.pipeline.name,
            "path": evidence.pipeline.path or None,
            "text": evidence.pipeline.text or None,
            "sections": evidence.pipeline.sections,
        },
    }
    return plain(entry)  # type: ignore[no-any-return]


def _run_entry(evidence: Evidence) -> dict[str, Any]:
    run, stages = evidence.run, evidence.stages
    text = evidence.pipeline.text
    return {
        "id": run.id,
        "pipeline_sha256": sha256_bytes(text.encode()) if text else UNKNOWN,
        "started": run.started or UNKNOWN,
        "seconds": round(sum(stage.seconds for stage in stages), 3),
        "seed": evidence.seed,
        "cells_pending": sum(stage.pending for stage in stages),
        "stages": [
            {
                "name": stage.stage,
                "notebook": stage.notebook,
                "run": stage.run,
                "key": stage.key or UNKNOWN,
                "parameters": stage.params,
                "cells": stage.cells,
                "started": stage.started or UNKNOWN,
                "seconds": stage.seconds,
                "attempts": stage.attempts,
                "inputs": {name: artifact.sha256 for name, artifact in stage.inputs.items()},
                "outputs": {name: artifact.sha256 for name, artifact in stage.outputs.items()},
            }
            for stage in stages
        ],
    }


def notebooks_entry(stages: Sequence[StageRun], sources: Mapping[str, str]) -> list[dict[str, Any]]:
    """The notebooks as written and as executed.

    Args:
        sources: stage -> sha256 of the notebook's file.
    """
    return [
        {
            "stage": stage.stage,
            "notebook": stage.notebook,
            "sha256": sources.get(stage.stage, UNKNOWN),
            "executed": f"nbprod/notebooks/{stage.stage}.ipynb",
            "executed_sha256": stage.executed.sha256 if stage.executed else UNKNOWN,
        }
        for stage in stages
    ]


def metric_entry(metric: Metric) -> dict[str, Any]:
    """What the entry says of a metric; its curve stays with the run."""
    return {
        "name": metric.name,
        "value": metric.value,
        "dataset": metric.dataset,
        "interval": None if metric.interval is None else list(metric.interval),
        "stage": metric.stage,
    }


def plain(value: Any) -> Any:
    """A value that canonical JSON can hold: non-finite numbers and very large integers become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _present(card: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in card.items() if value not in ("", [], None)}


def digest(entry: Mapping[str, Any]) -> str:
    """The entry's digest: sha256 of its canonical JSON."""
    return sha256_json(dict(entry))


def validate(entry: Any) -> dict[str, Any]:
    """Check that something read back is an entry that this nbprod understands.

    Raises:
        ArtifactError: it is not; with what is wrong.
    """
    if not isinstance(entry, dict):
        raise ArtifactError("the entry is no JSON object: the version was not registered by nbprod.")
    schema = entry.get("schema")
    if schema != SCHEMA:
        raise ArtifactError(f"the entry has the schema {schema!r}, and this nbprod reads {SCHEMA}: upgrade nbprod.")
    for key, kind in REQUIRED.items():
        if key not in entry:
            raise ArtifactError(f"the entry lacks '{key}': the version is damaged.")
        if not isinstance(entry[key], kind):
            raise ArtifactError(f"the entry's '{key}' has the wrong type: the version is damaged.")
    return entry
