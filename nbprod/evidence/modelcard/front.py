"""The metadata in front of a card, with Hugging Face's keys.

They are described in https://huggingface.co/docs/hub/model-cards. What it has no key for stands in the card only; a
licence that is not known is `unknown`, which is one of Hugging Face's words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nbprod.entities import ModelVersion
from nbprod.evidence.modelcard.escaping import clip, slug
from nbprod.evidence.modelcard.words import UNKNOWN, group_of, real

LIBRARIES = {"tensorflow": "keras", "pyfunc": "mlflow", "python_function": "mlflow"}
"""MLflow's flavour -> Hugging Face's name of the library, where they differ."""

CLASSIFYING = frozenset({
    "accuracy", "auc", "average_precision", "balanced_accuracy", "brier_score", "cohen_kappa", "f1", "f1_macro",
    "f1_micro", "f1_weighted", "false_negative_rate", "false_positive_rate", "kappa", "log_loss", "mcc",
    "precision", "recall", "roc_auc", "true_negative_rate", "true_positive_rate",
})  # fmt: skip
ESTIMATING = frozenset({
    "mae", "mape", "max_error", "mean_absolute_error", "mean_squared_error", "median_ae", "mse", "r2", "rmse",
    "rmsle",
})  # fmt: skip
"""Names of metrics that tell what a model does."""


def front(version: ModelVersion) -> dict[str, Any]:
    """The metadata in JSON types, in the order in which they are to stand."""
    entry = version.entry
    library = LIBRARIES.get(entry["model"]["flavor"], _text(entry["model"]["flavor"]))
    task = task_of(entry["metrics"])
    found: dict[str, Any] = {"license": UNKNOWN, "library_name": library}
    if task:
        found["pipeline_tag"] = task
    found["tags"] = list(dict.fromkeys(["nbprod", "mlflow", library, *([task] if task else []), "model-version"]))
    if datasets := _datasets(entry["inputs"]):
        found["datasets"] = datasets
    if names := _metric_names(entry):
        found["metrics"] = names
    if results := _results(entry, task):
        found["model-index"] = [{"name": _text(version.ref), "results": results}]
    return found


def task_of(metrics: Sequence[Mapping[str, Any]]) -> str:
    """What the metrics say that the model does, in Hugging Face's words; empty if they do not say it."""
    names = {str(metric["name"]).lower() for metric in metrics}
    if names & CLASSIFYING:
        return "" if names & ESTIMATING else "tabular-classification"
    return "tabular-regression" if names & ESTIMATING else ""


def _text(text: Any) -> str:
    """A text in one line, of a length for metadata."""
    return clip(str(text), 120)


def _datasets(inputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the datasets that came from outside."""
    cards = [(item, item["card"]) for item in inputs if not item["stage"]]
    names = [card.get("name") or item["name"] if isinstance(card, Mapping) else item["name"] for item, card in cards]
    return list(dict.fromkeys(_text(name) for name in names))


def _metric_names(entry: Mapping[str, Any]) -> list[str]:
    """Each metric once, the main one first."""
    main = entry["model"].get("main_metric")
    names = sorted((m["name"] for m in entry["metrics"] if not group_of(m["dataset"])), key=lambda name: name != main)
    return list(dict.fromkeys(_text(name) for name in names))


def _results(entry: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    """A result for each dataset that was measured on, without groups of its rows, and without infinite numbers."""
    described = {str(item["role"]): item for item in entry["inputs"]}
    by_dataset: dict[str, list[dict[str, Any]]] = {}
    for metric in entry["metrics"]:
        value = real(metric["value"])
        if value is None or not math.isfinite(value) or group_of(metric["dataset"]):
            continue
        name = _text(metric["name"])
        by_dataset.setdefault(str(metric["dataset"]), []).append({"type": name, "value": value, "name": name})
    results = []
    for dataset, metrics in by_dataset.items():
        about: dict[str, Any] = {"type": slug(f"{entry['name']}-{dataset}"), "name": _text(dataset)}
        if dataset in described:
            about |= {"split": _text(dataset), "revision": str(described[dataset]["sha256"])}
        results.append({"task": {"type": task or "other"}, "dataset": about, "metrics": metrics})
    return results
