"""Take out of what is published whatever may show rows: outputs of notebooks, and notebooks in a difference."""

from __future__ import annotations

import copy
import itertools
import json
import re
from typing import Any

from nbprod.records import MIME

METRIC = "metric"

OF_CELLS = frozenset({"tags", "execution", "papermill", "slideshow"})
OF_NOTEBOOKS = frozenset({"kernelspec", "language_info", "papermill"})
"""The metadata that stay; others may hold what was shown, as the state of widgets does."""

_SEGMENT = re.compile(rb"^diff --git ", re.MULTILINE)
_NOTEBOOK = re.compile(rb"diff --git .*\.ipynb\"?\r?\n")


def strip_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook without outputs, attachments and errors; metrics that it reported stay, since they are aggregates."""
    stripped = copy.deepcopy(notebook)
    for cell in stripped.get("cells", ()):
        cell.pop("attachments", None)
        cell["metadata"] = {key: value for key, value in cell.get("metadata", {}).items() if key in OF_CELLS}
        if "outputs" in cell:
            cell["outputs"] = [kept for output in cell["outputs"] if (kept := _metric(output))]
    stripped["metadata"] = {key: value for key, value in stripped.get("metadata", {}).items() if key in OF_NOTEBOOKS}
    if isinstance(stripped["metadata"].get("papermill"), dict):
        stripped["metadata"]["papermill"].pop("input_path", None)  # papermill may put a whole notebook there
    return stripped


def stripped_bytes(content: bytes) -> bytes:
    """The same of a notebook's file, as notebooks are written; a file that is no notebook becomes empty."""
    try:
        notebook = json.loads(content)
    except ValueError:
        return b""
    return json.dumps(strip_outputs(notebook), indent=1, ensure_ascii=False).encode() + b"\n"


def _metric(output: dict[str, Any]) -> dict[str, Any] | None:
    """An output reduced to the metric that it reports; None if it reports none."""
    scrap = (output.get("data") or {}).get(MIME)
    payload = scrap.get("data") if isinstance(scrap, dict) else None
    if not isinstance(payload, dict) or payload.get("kind") != METRIC:
        return None
    return {**output, "data": {MIME: scrap}}


def without_notebooks(diff: bytes) -> bytes:
    """A difference, as ``git diff`` prints it, without the parts about notebooks, whose outputs it would show."""
    starts = [found.start() for found in _SEGMENT.finditer(diff)] + [len(diff)]
    head = diff[: starts[0]]
    parts = [diff[a:b] for a, b in itertools.pairwise(starts)]
    return head + b"".join(part for part in parts if not _NOTEBOOK.match(part))
