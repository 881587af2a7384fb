"""The wire format: nbprod and scrapbook read what nbprod writes, and nbprod reads what scrapbook writes."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import NotebookError, ParameterError, UsageError
from nbprod.records import (
    MIME,
    Record,
    bundle,
    check_path,
    finite,
    from_number,
    line,
    number,
    read,
    read_cells,
)

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs"), codec="utf-8"), min_size=1, max_size=20).filter(
    lambda text: text == text.strip() and text != "-"
)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def display(record: Record, *, note: str = "") -> dict[str, Any]:
    data, metadata = bundle(record, note=note)
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def notebook(*outputs: dict[str, Any]) -> dict[str, Any]:
    """A notebook with a text cell, then one code cell for each output."""
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# Results"}]
    for number_, output in enumerate(outputs):
        cell = {"cell_type": "code", "id": f"c{number_}", "execution_count": 1, "metadata": {}, "source": "1"}
        cells.append({**cell, "outputs": [output]})
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def scrap(name: Any, data: Any, *, encoder: str = "json") -> dict[str, Any]:
    """What `scrapbook.glue` leaves in a cell."""
    payload = {"name": name, "data": data, "encoder": encoder, "version": 1}
    return {
        "output_type": "display_data",
        "data": {f"application/scrapbook.scrap.{encoder}+json": payload},
        "metadata": {"scrapbook": {"name": name, "data": True, "display": False}},
    }


@given(
    name=NAMES,
    value=FLOATS,
    dataset=st.one_of(st.just(""), NAMES.filter(lambda text: "/" not in text)),
    interval=st.none() | st.tuples(FLOATS, FLOATS),
    step=st.none() | st.integers(),
)
def test_a_metric_survives_the_way_through_a_notebook_file(
    name: str, value: float, dataset: str, interval: tuple[float, float] | None, step: int | None
) -> None:
    record = Record(kind="metric", name=name, value=value, dataset=dataset, interval=interval, step=step)
    text = json.dumps(notebook(display(record)), allow_nan=False)
    (found,) = read(json.loads(text))
    assert repr(found) == repr(record)  # repr, since NaN is not equal to itself


@given(name=st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z][a-z0-9_.]{0,8}){0,2}", fullmatch=True))
def test_an_artifact_survives_the_way_through_a_notebook_file(name: str) -> None:
    record = Record(kind="artifact", name=name, value={"path": name})
    assert read(notebook(display(record))) == (record,)


def test_a_record_is_one_scrap_with_a_line_for_people() -> None:
    data, metadata = bundle(
        Record(kind="metric", name="roc_auc", value=0.931, dataset="test", interval=(0.92, math.inf))
    )
    assert data == {
        MIME: {
            "name": "metric/test/roc_auc",
            "data": {
                "schema": "nbprod/record/1",
                "kind": "metric",
                "name": "roc_auc",
                "value": 0.931,
                "dataset": "test",
                "interval": [0.92, "inf"],
                "step": None,
            },
            "encoder": "json",
            "version": 1,
        },
        "text/plain": "roc_auc (test) = 0.931 [0.92, inf]",
    }
    assert metadata == {"scrapbook": {"name": "metric/test/roc_auc", "data": True, "display": False}}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Record(kind="metric", name="n", value=277677.0, dataset="train"), "n (train) = 277677"),
        (Record(kind="metric", name="loss", value=0.123456789, dataset="val", step=3), "loss (val) step 3 = 0.123457"),
        (Record(kind="metric", name="x", value=math.nan), "x = nan"),
        (Record(kind="metric", name="x", value=-1e300), "x = -1e+300"),
        (Record(kind="artifact", name="roc.png", value={"path": "roc.png"}), "artifact roc.png"),
        (Record(kind="model", name="model", value={"path": "model", "flavor": "sklearn"}), "model model (sklearn)"),
    ],
)
def test_the_line_for_people_is_short_and_says_the_same_in_equal_runs(record: Record, text: str) -> None:
    assert line(record) == text


def test_scrapbook_reads_what_nbprod_writes(tmp_path: Path) -> None:
    import scrapbook

    path = tmp_path / "executed.ipynb"
    first = Record(kind="metric", name="roc_auc", value=0.5, dataset="test", step=1)
    last = Record(kind="metric", name="roc_auc", value=math.nan, dataset="test", step=2)
    model = Record(kind="model", name="model", value={"path": "model", "flavor": "sklearn"})
    path.write_text(json.dumps(notebook(display(first), display(last), display(model))), encoding="utf-8")
    scraps = scrapbook.read_notebook(str(path)).scraps
    assert list(scraps) == ["metric/test/roc_auc", "model/-/model"]
    assert scraps["metric/test/roc_auc"].data["value"] == "nan"
    assert scraps["metric/test/roc_auc"].encoder == "json"
    assert scraps["model/-/model"].data["value"]["path"] == "model"


def glued(name: str, value: Any, **options: Any) -> dict[str, Any]:
    """What `scrapbook.glue` itself sends to the notebook for a value."""
    from scrapbook.api import _prepare_ipy_data_format
    from scrapbook.encoders import registry
    from scrapbook.scraps import Scrap, scrap_to_payload

    encoder = options.get("encoder") or registry.determine_encoder_name(value)
    payload = scrap_to_payload(registry.encode(Scrap(name, value, encoder)))
    data, metadata = _prepare_ipy_data_format(name, payload, encoder)
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def test_numbers_that_scrapbook_glued_are_metrics_on_the_dataset_test() -> None:
    found = read(notebook(glued("roc_auc", 0.93), glued("rows", 277677)))
    assert [(r.kind, r.name, r.value, r.dataset) for r in found] == [
        ("metric", "roc_auc", 0.93, "test"),
        ("metric", "rows", 277677.0, "test"),
    ]


def test_booleans_texts_lists_dicts_and_frames_that_scrapbook_glued_are_no_metrics() -> None:
    frame = pd.DataFrame({"a": [1.0]})
    outputs = [
        glued("converged", True),
        glued("title", "hello"),
        glued("scores", [1, 2]),
        glued("params", {"a": 1}),
        glued("frame", frame),
        glued("number_as_text", "0.5", encoder="text"),
    ]
    assert read(notebook(*outputs)) == ()


def test_nan_that_scrapbook_glued_is_a_metric_though_it_comes_back_as_text() -> None:
    (text,) = read(notebook(scrap("auc", "nan")))
    (token,) = read({"cells": [{"outputs": [scrap("auc", math.nan)]}]})
    assert math.isnan(text.value)
    assert math.isnan(token.value)


def test_a_glued_number_without_a_usable_name_is_passed_over() -> None:
    assert read(notebook(scrap("", 1.0), scrap(" padded ", 1.0))) == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(2.5), 2.5),
        (math.inf, math.inf),
    ],
)
def test_python_and_numpy_numbers_are_accepted(value: Any, expected: float) -> None:
    found = finite(value, what="the metric 'x'")
    assert type(found) is float
    assert found == expected


@pytest.mark.parametrize("value", [True, np.bool_(True), "0.5", None, [1.0], np.array([1.0]), Decimal(1), 1j])
def test_anything_that_is_not_a_real_number_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="the metric 'x' must be a number, not"):
        finite(value, what="the metric 'x'")


def test_a_number_beyond_floating_point_is_refused() -> None:
    with pytest.raises(ParameterError, match="too large"):
        finite(10**400, what="the metric 'x'")


@given(FLOATS)
def test_non_finite_numbers_become_text_and_come_back(value: float) -> None:
    stored = json.loads(json.dumps(number(value), allow_nan=False))
    assert repr(from_number(stored)) == repr(value)


@pytest.mark.parametrize("name", ["", " ", " auc", "auc ", "a\nb", "a\x00b"])
def test_names_that_nobody_could_read_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a metric"):
        Record(kind="metric", name=name, value=1.0)


def test_a_name_must_be_text() -> None:
    with pytest.raises(UsageError, match="must be text, not 3"):
        Record(kind="metric", name=3, value=1.0)  # type: ignore[arg-type]


def test_a_metric_may_have_slashes_in_its_name_but_not_in_its_dataset() -> None:
    assert Record(kind="metric", name="by_sex/auc", value=1.0, dataset="test").scrap == "metric/test/by_sex/auc"
    for dataset in ("a/b", "-"):
        with pytest.raises(UsageError, match="may not hold '/'"):
            Record(kind="metric", name="auc", value=1.0, dataset=dataset)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", ".hidden", "a/.b", "C:x", "a\\b", "a/"])
def test_a_path_that_could_leave_the_folder_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="use a path below"):
        check_path(path, what="artifact")


def ours(**changes: Any) -> dict[str, Any]:
    """A record of ours with fields changed; a field that is None is taken away."""
    output = display(Record(kind="metric", name="auc", value=0.5, dataset="test"))
    data = output["data"][MIME]["data"]
    data.update(changes)
    output["data"][MIME]["data"] = {key: value for key, value in data.items() if value is not None or key == "step"}
    return output


def test_a_record_of_a_newer_schema_is_refused_with_its_cell() -> None:
    with pytest.raises(
        NotebookError, match="cell 3: it holds a record of the newer schema nbprod/record/2: upgrade"
    ) as caught:
        read(notebook(ours(), ours(schema="nbprod/record/2")))
    assert caught.value.cell == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "nbprod/record/one"},
        {"kind": "weather"},
        {"value": "high"},
        {"value": None},
        {"name": ""},
        {"name": None},
        {"dataset": "a/b"},
        {"interval": [1]},
        {"interval": ["low", "high"]},
        {"step": 1.5},
        {"step": True},
        {"kind": "artifact", "value": 3},
        {"kind": "artifact", "value": {"path": "../../etc/passwd"}},
    ],
)
def test_a_damaged_record_is_refused_with_its_cell(changes: dict[str, Any]) -> None:
    with pytest.raises(NotebookError, match=r"cell 2: it holds a damaged record \(.+\): run it again\.$"):
        read(notebook(ours(**changes)))


def test_other_outputs_and_odd_cells_are_passed_over() -> None:
    cells: list[Any] = [
        {"cell_type": "markdown", "source": "x"},
        {"outputs": None},
        {"outputs": [{"output_type": "stream", "text": "x"}, {"output_type": "error", "ename": "E"}, "x"]},
        {"outputs": [{"output_type": "execute_result", "data": {"text/plain": "1"}}, {"data": {MIME: "x"}}]},
        "x",
        {"outputs": [ours()]},
    ]
    assert [(cell, record.name) for cell, record in read_cells({"cells": cells})] == [(6, "auc")]


def test_a_file_that_is_no_notebook_is_refused() -> None:
    with pytest.raises(NotebookError, match="not a notebook of format 4"):
        read({"cells": "none"})
    assert read({}) == ()
