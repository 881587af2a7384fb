"""What is published of notebooks shows code and metrics, and no row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nbprod.evidence.stripping import strip_outputs, stripped_bytes, without_notebooks
from nbprod.records import MIME

SECRET = "ana.souza@example.org"


def scrap(kind: str, value: Any) -> dict[str, Any]:
    payload = {"name": f"{kind}/-/x", "data": {"schema": "nbprod/record/1", "kind": kind, "value": value}}
    return {"output_type": "display_data", "data": {MIME: payload, "text/plain": SECRET}, "metadata": {}}


def notebook(*outputs: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": "rows.head()", "outputs": list(outputs), "execution_count": 1}
    note = {"cell_type": "markdown", "source": "# T", "attachments": {"a.png": {"image/png": SECRET}}}
    cell["metadata"] = {"tags": ["parameters"], "colab": {"outputs": SECRET}}
    papermill = {"parameters": {"n": 1}, "input_path": {"cells": [{"outputs": [{"text": SECRET}]}]}}
    return {"cells": [cell, note], "metadata": {"widgets": {"state": SECRET}, "papermill": papermill}}


def test_only_metrics_stay() -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": SECRET}
    failed = {"output_type": "error", "ename": "E", "evalue": SECRET, "traceback": [SECRET]}
    whole = notebook(printed, failed, scrap("metric", 0.5), scrap("artifact", SECRET), {"data": {"text/html": SECRET}})
    stripped = strip_outputs(whole)
    assert SECRET not in json.dumps(stripped)
    (kept,) = stripped["cells"][0]["outputs"]
    assert list(kept["data"]) == [MIME]
    assert kept["data"][MIME]["data"]["value"] == 0.5
    assert stripped["cells"][0]["source"] == "rows.head()"
    assert stripped["cells"][0]["metadata"] == {"tags": ["parameters"]}
    assert stripped["metadata"]["papermill"] == {"parameters": {"n": 1}}
    assert SECRET in json.dumps(whole)


@pytest.mark.parametrize("data", [{MIME: None}, {MIME: {"data": [1]}}, {MIME: {"data": {"kind": SECRET}}}, None])
def test_an_output_that_is_no_metric_goes(data: Any) -> None:
    assert strip_outputs(notebook({"data": data}))["cells"][0]["outputs"] == []


def test_a_file_that_is_no_notebook_becomes_empty() -> None:
    assert stripped_bytes(SECRET.encode()) == b""
    assert SECRET.encode() not in stripped_bytes(json.dumps(notebook({"data": {"text/plain": SECRET}})).encode())


DIFF = (
    b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+diff --git is a command\n"
    b"diff --git a/n b.ipynb b/n b.ipynb\n--- a\n+secret\n"
    b'diff --git "a/\\303\\251.ipynb" "b/\\303\\251.ipynb"\n+secret\n'
    b"diff --git a/ipynb.txt b/ipynb.txt\n+kept\n"
)


def test_a_difference_keeps_all_but_notebooks() -> None:
    found = without_notebooks(DIFF)
    assert found.count(b"secret") == 0
    assert found == DIFF[: DIFF.index(b"diff --git a/n")] + DIFF[DIFF.index(b"diff --git a/ipynb") :]
    assert without_notebooks(b"") == b""
