"""The entry ``nbprod.json``: everything that made a model, in canonical JSON; it never changes after registration.

It holds no version number, no alias and no gate result: those are statements that name its digest. What cannot be known
is the text ``unknown``, never a guess. Documented in ``docs/registry-entry.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbprod.digest import listing_digest, sha256_bytes, sha256_json
from nbprod.entities import JSON, Artifact, DatasetCard, Metric, ModelSpec, Pipeline, Run, StageRun
from nbprod.errors import ArtifactError
from nbprod.evidence.data import Shape
from nbprod.evidence.validation import load_schema, problems

SCHEMA = "nbprod/model-version/1"
UNKNOWN = "unknown"
DERIVED = "derived"
"""Instead of a card, of a dataset that a stage made: the cards of what that stage read apply."""

SCHEMAS = {SCHEMA: "model-version-1"}
"""Schema -> the file that describes it; every version that was ever written stays here."""

SAFE_INTEGER = 2**53 - 1
"""Canonical JSON (RFC 8785) has no larger integer; larger ones are kept as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputEvidence:
    """What is known of one dataset.

    Attributes:
        role: ``train``, ``test``, ... as the pipeline's ``model.data`` says; else ``input``.
        stage: the stage that made it; empty for what came from outside.
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

    def entry(self) -> dict[str, JSON]:
        """What the entry says of it."""
        columns = self.shape.columns
        return {
            "name": self.artifact.name,
            "stage": self.stage or None,
            "uri": self.artifact.uri,
            "role": self.role,
            "kind": self.artifact.kind,
            "sha256": self.artifact.sha256,
            "bytes": self.artifact.size,
            "rows": self.shape.rows,
            "columns": None if columns is None else list(columns),
            "kept": self.kept,
            "card": self._card(),
            "measured": self.measured,
        }

    def _card(self) -> JSON:
        if self.card is None:
            return DERIVED if self.stage else UNKNOWN
        return {key: value for key, value in self.card.to_dict().items() if value not in ("", [], None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that an entry is made of.

    Attributes:
        model: what `nbprod.flavors.describe` found, as a plain dict.
        files: relative path -> sha256 of the model's files, as `nbprod.evidence.folder.model_files` lists them.
        artifact: the model as the run left it.
        stages: the stages that made it, as they ended.
        metrics: those that describe it.
        repeats: stages that ran again with other seeds, for the spread of these metrics: (the stage, its other run).
        source: ``git`` (a dict or ``unknown``), ``measured``, and what `notebooks_entry` gives as ``notebooks``.
        environment: what `nbprod.evidence.environment` gives.
        seed: the seed that the model was fitted with; None if there is none to be seen.
        parent: ``relation`` and the entry's ``digest`` of the version that it was made from.
        profile: path, schema and digest of the profile of its data; None if there is none.
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
    repeats: Sequence[tuple[str, StageRun]] = ()
    profile: Mapping[str, Any] | None = None


def build(evidence: Evidence) -> dict[str, Any]:
    """Make the entry.

    Raises:
        ArtifactError: it would not be valid, as when a cell of a stage never ran.
    """
    spec, pipeline = evidence.spec, evidence.pipeline
    entry = {
        "schema": SCHEMA,
        "name": spec.name,
        "model": _model_entry(evidence),
        "parent": evidence.parent,
        "run": _run_entry(evidence),
        "source": dict(evidence.source),
        "environment": dict(evidence.environment),
        "inputs": [item.entry() for item in evidence.inputs],
        "metrics": [metric_entry(metric, evidence.repeats) for metric in evidence.metrics],
        "owner": spec.owner or UNKNOWN,
        "intended_use": spec.intended_use or UNKNOWN,
        "limitations": spec.limitations or UNKNOWN,
        "pipeline": {
            "name": pipeline.name,
            "path": pipeline.path or None,
            "text": pipeline.text or None,
            "sections": pipeline.sections,
        },
        **({"profile": dict(evidence.profile)} if evidence.profile else {}),
    }
    return validate(plain(entry))


def _model_entry(evidence: Evidence) -> dict[str, JSON]:
    spec, model = evidence.spec, evidence.model
    sha256 = listing_digest(evidence.files)
    return {
        "sha256": sha256,
        **({"logged_sha256": evidence.artifact.sha256} if model.get("synthetic") else {}),
        "bytes": evidence.artifact.size,
        "files": dict(evidence.files),
        "stage": spec.source.partition(".")[0],
        "flavor": model["flavor"],
        "serialization": model["serialization"],
        "signature": {key: model.get(key) for key in ("inputs", "outputs", "params")},
        "example": model["example"],
        "example_predictions": model.get("example_predictions"),
        **({"example_origin": "synthetic"} if model.get("synthetic") and model["example"] is not None else {}),
        "trusted": list(spec.trusted),
        "types": list(model.get("trusted", ())),
        "requirements": list(model["requirements"]),
        "target": spec.target or None,
        "groups": list(spec.groups),
        "main_metric": spec.main_metric or None,
    }


def _run_entry(evidence: Evidence) -> dict[str, JSON]:
    text = evidence.pipeline.text
    seconds = sum(stage.seconds for stage in evidence.stages)
    return {
        "id": evidence.run.id,
        "pipeline_sha256": sha256_bytes(text.encode()) if text else UNKNOWN,
        "started": evidence.run.started or UNKNOWN,
        "seconds": round(seconds, 3) if seconds else UNKNOWN,
        "seed": evidence.seed,
        "cells_pending": sum(stage.pending for stage in evidence.stages),
        "stages": [_stage_entry(stage) for stage in evidence.stages],
        **({"repeats": [_stage_entry(again) for _, again in evidence.repeats]} if evidence.repeats else {}),
    }


def _stage_entry(stage: StageRun) -> dict[str, JSON]:
    return {
        "name": stage.stage,
        "notebook": stage.notebook,
        "run": stage.run,
        "key": stage.key or UNKNOWN,
        "parameters": stage.params,
        "cells": stage.cells,
        "started": stage.started or UNKNOWN,
        "seconds": stage.seconds if stage.seconds else UNKNOWN,
        "attempts": stage.attempts,
        "inputs": {name: artifact.sha256 for name, artifact in stage.inputs.items()},
        "outputs": {name: artifact.sha256 for name, artifact in stage.outputs.items()},
    }


def notebooks_entry(stages: Sequence[StageRun], sources: Mapping[str, str]) -> list[dict[str, JSON]]:
    """The notebooks as written and as executed.

    Args:
        sources: stage -> sha256 of the notebook's file; a stage that is not in it is ``unknown``.
    """
    return [
        {
            "stage": stage.stage,
            "notebook": stage.notebook,
            "sha256": sources.get(stage.stage, UNKNOWN),
            "executed": f"nbprod/notebooks/{stage.stage}.ipynb" if stage.executed else None,
            "executed_sha256": stage.executed.sha256 if stage.executed else UNKNOWN,
        }
        for stage in stages
    ]


def metric_entry(metric: Metric, repeats: Sequence[tuple[str, StageRun]] = ()) -> dict[str, JSON]:
    """What the entry says of a metric; its curve stays with the run.

    Args:
        repeats: as of `Evidence`; the metric's values there follow its own.
    """
    again = [
        other.value
        for stage, run in repeats
        for other in run.metrics
        if (stage, other.name, other.dataset) == (metric.stage, metric.name, metric.dataset)
    ]
    return {
        "name": metric.name,
        "value": metric.value,
        "dataset": metric.dataset,
        "interval": None if metric.interval is None else list(metric.interval),
        "stage": metric.stage,
        **({"repeats": [metric.value, *again]} if again else {}),
    }


def input_names(entry: Mapping[str, Any]) -> list[str]:
    """The names of what a version's model takes; none of a tensor without a name, or where nothing is known."""
    return [str(item["name"]) for item in entry["model"]["signature"]["inputs"] or () if item.get("name")]


def plain(value: Any) -> Any:
    """A value as canonical JSON holds it: non-finite numbers as ``nan``, ``inf``, ``-inf``, large integers as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE_INTEGER:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")  # a lone surrogate is no Unicode text
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def digest(entry: Mapping[str, Any]) -> str:
    """The entry's digest: sha256 of its canonical JSON."""
    return sha256_json(dict(entry))


def validate(entry: Any) -> dict[str, Any]:
    """Check that something is an entry that this nbprod understands, and return it.

    Raises:
        ArtifactError: it is not; with the first thing that is wrong.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("schema"), str):
        raise ArtifactError("it is no entry of nbprod's: the version was registered by something else, or is damaged.")
    name = SCHEMAS.get(entry["schema"])
    if name is None:
        known = ", ".join(sorted(SCHEMAS))
        raise ArtifactError(
            f"the entry has the schema '{entry['schema']}', and this nbprod reads {known}: upgrade nbprod."
        )
    found = next(problems(entry, load_schema(name)), None)
    if found:
        raise ArtifactError(f"the entry is not valid: {found}; the version is damaged.")
    return entry
