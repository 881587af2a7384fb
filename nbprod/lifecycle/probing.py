"""Hold what a second run left against the entry: metrics, data, signature, and predictions on a probe set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod import flavors
from nbprod.entities import ModelVersion, Run, StageRun
from nbprod.errors import NbprodError
from nbprod.evidence.compare import Compared, compare_metrics, compare_predictions, compare_texts
from nbprod.evidence.data import shape_of
from nbprod.gates.contender import Contender
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

PROBE = 1000
"""So many rows of the probe set are predicted, the first ones."""

ROLES = ("test", "holdout", "validation", "train")
"""What is taken as the probe set, the first that is there."""


def compared(
    work: Workspace, source: Bytes, version: ModelVersion, *, run: Run, root: Path, tolerance: float
) -> Iterator[Compared]:
    """Everything that can be compared; see `nbprod.evidence.compare`.

    Args:
        run: the second run, below ``root``.
    """
    entry = version.entry
    stages = {stage.stage: stage for stage in run.stages}
    yield from compare_metrics(
        entry["metrics"], [metric for stage in run.stages for metric in stage.metrics], tolerance=tolerance
    )
    for item in entry["inputs"]:
        if item["stage"]:
            yield from _dataset(item, stages, root)
    model = stages[entry["model"]["stage"]]
    folder = _model_folder(entry, model, root)
    facts = flavors.describe(folder).to_dict()
    recorded = entry["model"]["signature"]
    yield _signature(recorded, {key: facts.get(key) for key in recorded})
    yield _predictions(source, version, folder, tolerance=tolerance)


def _model_folder(entry: dict[str, Any], stage: StageRun, root: Path) -> Path:
    """The model that the second run left, by the name that the first one had."""
    made = next(s for s in entry["run"]["stages"] if s["name"] == stage.stage)
    models = [a for a in stage.outputs.values() if a.role == "model" and a.name in made["outputs"]]
    same = [a for a in models if made["outputs"][a.name] == entry["model"]["sha256"]] or models
    return root / same[0].uri


def _dataset(item: dict[str, Any], stages: dict[str, StageRun], root: Path) -> Iterator[Compared]:
    """Rows and columns of a dataset that a stage made."""
    artifact = stages[item["stage"]].outputs.get(item["name"])
    what = f"data {item['name']}"
    if artifact is None:
        yield Compared(what=what, agreement="different", recorded=item["uri"], found="not made")
        return
    if artifact.sha256 == item["sha256"]:
        yield Compared(what=what, agreement="identical", recorded=item["sha256"][:12], found=artifact.sha256[:12])
        return
    shape = shape_of(root / artifact.uri)
    columns = None if shape.columns is None else list(shape.columns)
    found = compare_texts(what, (item["rows"], item["columns"]), (shape.rows, columns), note="rows or columns differ")
    if found.agreement == "identical":
        rows = f"{item['rows']:,} rows" if item["rows"] is not None else "unknown rows"
        note = "the same rows and columns in other bytes"
        found = Compared(what=what, agreement="within tolerance", recorded=rows, found=rows, note=note)
    yield found


def _signature(recorded: dict[str, Any], found: dict[str, Any]) -> Compared:
    """What the model takes and answers; the first part that differs is shown."""
    for part in recorded:
        if recorded[part] != found[part]:
            return compare_texts("signature", recorded[part], found[part], note=f"its {part} differ")
    count = len(recorded["inputs"] or ())
    columns = f"{count} column{'' if count == 1 else 's'}"
    return Compared(what="signature", agreement="identical", recorded=columns, found=columns)


def _predictions(source: Bytes, version: ModelVersion, folder: Path, *, tolerance: float) -> Compared:
    import numpy as np

    contender = Contender(version, source=source)
    try:
        rows = _probe(contender)
        recorded = contender.predictions(rows)
        again = flavors.load(folder, trusted=version.entry["model"]["trusted"])
        found = np.asarray(again.predict(contender.features(rows)))
    except NbprodError as error:
        return Compared(what="predictions", agreement="unknown", note=error.message)
    except Exception as error:  # whatever a model raises: it may need the environment that was built
        return Compared(what="predictions", agreement="unknown", note=f"{type(error).__name__}: {error}")
    return compare_predictions(recorded, found, tolerance=tolerance)


def _probe(contender: Contender) -> pd.DataFrame:
    """Rows of the dataset that tells most, of those whose bytes are to be had.

    Raises:
        NbprodError: none is.
    """
    known = {item["role"] for item in contender.entry["inputs"]}
    role = next((role for role in ROLES if role in known), "test")
    return contender.rows(role).head(PROBE)
