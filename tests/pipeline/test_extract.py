"""What a stage reported is a pure function of its executed notebook."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nbprod.errors import NotebookError
from nbprod.pipeline.extract import Extract, extract
from nbprod.records import MIME, Record, bundle


def metric(name: str, value: float, *, dataset: str = "test", **more: Any) -> Record:
    return Record(kind="metric", name=name, value=value, dataset=dataset, **more)


def executed(*records: Record, last: dict[str, Any] | None = None) -> dict[str, Any]:
    """An executed notebook with one cell a record, as plain data."""
    outputs = [{"output_type": "display_data", "data": bundle(r)[0], "metadata": bundle(r)[1]} for r in records]
    cells: list[dict[str, Any]] = [{"cell_type": "code", "source": "log()", "outputs": [o]} for o in outputs]
    if last:
        cells[-1]["outputs"].append(last)
    return {"nbformat": 4, "cells": cells}


def test_a_notebook_that_reports_nothing_gives_nothing() -> None:
    assert extract(executed(), stage="train") == Extract()


def test_the_last_value_of_a_metric_wins() -> None:
    (found,) = extract(executed(metric("auc", 0.5), metric("auc", 0.9, interval=(0.8, 1.0))), stage="train").metrics
    assert (found.value, found.interval, found.curve, found.stage) == (0.9, (0.8, 1.0), (), "train")


def test_the_same_name_on_another_dataset_is_another_metric() -> None:
    found = extract(executed(metric("auc", 0.9, dataset="train"), metric("auc", 0.8)), stage="train").metrics
    assert [(m.name, m.dataset, m.value) for m in found] == [("auc", "train", 0.9), ("auc", "test", 0.8)]


def test_values_with_a_step_are_the_curve_and_the_last_of_them_the_metric() -> None:
    steps = [metric("loss", value, dataset="train", step=step) for step, value in enumerate([0.9, 0.5, math.inf])]
    (found,) = extract(executed(*steps), stage="train").metrics
    assert list(found.curve) == [(0, 0.9), (1, 0.5), (2, math.inf)]
    assert found.value == math.inf


def test_a_value_without_a_step_is_not_on_the_curve() -> None:
    (found,) = extract(executed(metric("loss", 0.9, step=1), metric("loss", 0.4)), stage="train").metrics
    assert (found.value, found.curve) == (0.4, ((1, 0.9),))


def test_artifacts_and_models_are_listed_once_by_their_path() -> None:
    artifact = Record(kind="artifact", name="roc.png", value={"path": "plots/roc.png"})
    model = Record(kind="model", name="model", value={"path": "model", "flavor": "sklearn"})
    found = extract(executed(artifact, model, artifact), stage="train")
    assert (found.artifacts, found.models) == (("plots/roc.png",), ("model",))


def test_what_was_reported_before_a_cell_failed_counts() -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "x", "traceback": []}
    (found,) = extract(executed(metric("auc", 0.5), last=error), stage="train").metrics
    assert found.value == 0.5


def test_numbers_glued_by_scrapbook_are_metrics() -> None:
    payload = {"name": "auc", "data": 0.7, "encoder": "json", "version": 1}
    cells = [{"cell_type": "code", "outputs": [{"output_type": "display_data", "data": {MIME: payload}}]}]
    (found,) = extract({"cells": cells}, stage="evaluate").metrics
    assert (found.name, found.value, found.dataset, found.stage) == ("auc", 0.7, "test", "evaluate")


def test_a_damaged_record_names_its_cell_and_the_stage() -> None:
    notebook = executed(metric("auc", 0.5), metric("auc", 0.6))
    del notebook["cells"][1]["outputs"][0]["data"][MIME]["data"]["value"]
    with pytest.raises(NotebookError, match=r"cell 2: it holds a damaged record \(it lacks 'value'\)") as caught:
        extract(notebook, stage="train")
    assert (caught.value.cell, caught.value.stage) == (2, "train")


def test_a_record_of_a_newer_schema_names_its_cell_and_the_stage() -> None:
    notebook = executed(metric("auc", 0.5))
    notebook["cells"][0]["outputs"][0]["data"][MIME]["data"]["schema"] = "nbprod/record/2"
    with pytest.raises(NotebookError, match=r"cell 1: .* newer schema nbprod/record/2: upgrade nbprod") as caught:
        extract(notebook, stage="train")
    assert caught.value.stage == "train"
