"""The datasets behind a model: the role, size and card of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from nbprod.entities import Artifact, ModelSpec, StageRun
from nbprod.errors import ArtifactError
from nbprod.evidence.card import card_path, read_card
from nbprod.evidence.data import Shape, shape_of
from nbprod.evidence.entry import InputEvidence
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.workspace import Workspace
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.graph import reference

ROLES = frozenset({"train", "test", "validation", "holdout"})


def datasets_of(
    work: Workspace, bound: Bound, spec: ModelSpec, results: Mapping[str, StageRun], measured: str
) -> Iterator[InputEvidence]:
    """Those that the pipeline gives a role, then every other file that a stage read, each once.

    Args:
        results: the stages as they ended.
        measured: ``before_run``, or ``after_run``.

    Raises:
        ArtifactError: a stage did not make what ``model.data`` names.
    """
    seen: set[tuple[str, str]] = set()
    names = [item.name for item in bound.stages]
    for role, text in spec.data.items():
        made = reference(text, names)
        if made:
            outputs = results[made[0]].outputs
            if made[1] not in outputs:
                raise ArtifactError(f"model.data.{role} is '{text}', which stage '{made[0]}' did not make.")
            artifact = outputs[made[1]]
            seen.add((artifact.uri, artifact.sha256))
            shape = _shape(work, artifact, work.project.root / artifact.uri)
            yield InputEvidence(artifact=artifact, role=role, stage=made[0], kept=True, shape=shape)
    roles = {text: role for role, text in spec.data.items()}
    for item in bound.stages:
        for name, text in item.files.items():
            if (item.name, name) in bound.hidden:
                continue
            artifact = results[item.name].inputs[name]
            if (artifact.uri, artifact.sha256) not in seen:
                seen.add((artifact.uri, artifact.sha256))
                role = roles.get(text) or (name if name in ROLES else "input")
                yield _file(work, item, artifact, role=role, measured=measured)


def _file(work: Workspace, item: BoundStage, artifact: Artifact, *, role: str, measured: str) -> InputEvidence:
    path = work.inputs.path(artifact)
    return InputEvidence(
        artifact=artifact,
        role=role,
        kept=work.inputs.keeps(item, artifact) and work.store.holds(artifact),
        card=read_card(path, label=artifact.uri) if card_path(path).is_file() else None,
        shape=_shape(work, artifact, path),
        measured=measured,
    )


def _shape(work: Workspace, artifact: Artifact, path: Path) -> Shape:
    """Rows and columns, which are counted once for the same bytes."""
    name = f"shape of {artifact.sha256} {''.join(path.suffixes[-2:]).lower()}"
    known = work.index.recall(name)
    if known is not None:
        return Shape.from_dict(json.loads(known))
    shape = shape_of(path)
    work.index.remember(name, json.dumps(shape.to_dict()))
    return shape
