"""Records of predictions, made in code."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbprod.predictions.journal import Journal, Record

NOON = 1_780_000_000.0
"""A moment: 2026-05-28, 20:26:40 in UTC."""


def record(request: str, *, rows: Sequence[Sequence[Any]] = ((1, 0.5),), **fields: Any) -> Record:
    """A record whose predictions are its rows' first values, times ten."""
    inputs = {"columns": ["age", "score"], "rows": [list(row) for row in rows]}
    whole: dict[str, Any] = {
        "time": NOON,
        "version": "7",
        "role": "answer",
        "inputs": json.dumps(inputs).encode(),
        "outputs": json.dumps([row[0] * 10 for row in rows]).encode(),
        "rows": len(rows),
        "latency": 0.002,
        "key": "k1",
    }
    return Record(request=request, **(whole | fields))


def journal(folder: Path, **options: Any) -> Journal:
    """A journal of a model that began a minute before noon."""
    clock = SimpleNamespace(time=lambda: NOON - 60, monotonic=time.monotonic)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbprod.predictions.segments.time", clock)
        return Journal(folder, model="churn", **options)


def written(folder: Path, *many: dict[str, Any], **options: Any) -> list[Record]:
    """Records in a closed segment; one for each mapping of fields."""
    log = journal(folder, **options)
    made = [record(log.next_id(), **fields) for fields in many]
    log.write(made)
    log.close()
    return made
