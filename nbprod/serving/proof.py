"""What may be done to answer faster, proven when the model is loaded by asking it.

Arrays instead of tables: only if both get the same answers. Requests answered together: only if rows get the same
answers alone. Both are tried on the example and on rows made from the signature, with missing values where those are
allowed, texts of the example and others. Whole numbers, classes and texts must be equal; other numbers may differ by
`RELATIVE`, which is how far a sum changes when it is added up in another order.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from nbprod.entities import Fact
from nbprod.serving.frames import Shaper
from nbprod.serving.outputs import listed
from nbprod.serving.signature import Column, Signature

RELATIVE = 1e-9
MADE = 40
"""So many rows are made."""

PATIENCE = 0.5
"""Seconds after which no further row is asked alone; `LEAST` of them always are."""

LEAST = 8

Predict = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof(Fact):
    """What was found.

    Attributes:
        arrays: whether arrays give the same answers as tables.
        batches: whether rows that are asked together get the same answers as alone.
        rows: on how many rows both were tried.
        why: why not; empty where all was proven.
        base, per_row: seconds that a prediction takes.
    """

    arrays: bool
    batches: bool
    rows: int = 0
    why: str = ""
    base: float = 0.0
    per_row: float = 0.0

    @property
    def path(self) -> str:
        """In a few words, for the log."""
        kind = "arrays" if self.arrays else "tables"
        return f"{kind}, {'micro-batches' if self.batches else 'one request at a time'}"


def prove(predicts: Sequence[Predict], shaper: Shaper, example: Sequence[Sequence[Any]]) -> Proof:
    """Find out how a model may be asked.

    Args:
        predicts: ``predict``, and ``predict_proba`` where there is one.
        example: rows in the signature's order.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arrays have no names of columns
        return _proven(predicts, shaper, example)


def _proven(predicts: Sequence[Predict], shaper: Shaper, example: Sequence[Sequence[Any]]) -> Proof:
    signature = shaper.signature
    if signature.tensor is not None:
        rows: list[Any] = list(_tensors(signature, example))
        safe: Callable[[Any], Any] = np.array
    else:
        rows = [*example, *made_rows(signature, example)]
        safe = shaper.frame
    try:
        usable = _usable(predicts, rows, safe)
        whole = [listed(predict(safe(usable))) for predict in predicts]
        if any(len(values) != len(usable) for values in whole):
            return Proof(arrays=False, batches=False, why="the model does not answer one value a row.")
        again = [listed(predict(safe(usable))) for predict in predicts]
        if not all(map(same, whole, again)):
            return Proof(arrays=False, batches=False, rows=len(usable), why="the model answers differently each time.")
    except Exception as error:  # whatever a model raises
        return Proof(arrays=False, batches=False, why=f"the model fails on its example ({type(error).__name__}).")
    arrays, reason = _arrays(predicts, shaper, usable, whole)
    make = shaper.array if arrays and signature.tensor is None else safe
    batches = _alone(predicts, usable, make, whole)
    why = " ".join(filter(None, (reason, "" if batches else "rows get other answers together than alone.")))
    base, per_row = _timed(predicts[0], make, usable)
    return Proof(arrays=arrays, batches=batches, rows=len(usable), why=why, base=base, per_row=per_row)


def same(left: Any, right: Any) -> bool:
    """Whether two answers are the same."""
    a, b = np.asarray(left), np.asarray(right)
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return False
    if a.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=RELATIVE, atol=1e-12, equal_nan=True))
    return bool((a == b).all())


def _usable(predicts: Sequence[Predict], rows: Sequence[Any], make: Callable[[Any], Any]) -> list[Any]:
    """The rows that the model takes: some that were made may hold what it never saw."""
    try:
        for predict in predicts:
            predict(make(list(rows)))
        return list(rows)
    except Exception:
        kept = []
        for row in rows:
            try:
                for predict in predicts:
                    predict(make([row]))
                kept.append(row)
            except Exception:
                continue
        if not kept:
            raise
        return kept


def _arrays(predicts: Sequence[Predict], shaper: Shaper, rows: Sequence[Any], whole: Sequence[Any]) -> tuple[bool, str]:
    if shaper.signature.tensor is not None:
        return True, ""
    if not shaper.can_be_array:
        return False, "the columns' types do not fit into one array."
    try:
        array = shaper.array(rows)
        found = [listed(predict(array)) for predict in predicts]
    except Exception as error:  # a pipeline that selects columns by name, for example
        return False, f"the model does not take arrays ({type(error).__name__})."
    if not all(map(same, found, whole)):
        return False, "arrays get other answers than tables."
    return True, ""


def _alone(predicts: Sequence[Predict], rows: Sequence[Any], make: Callable[[Any], Any], whole: Sequence[Any]) -> bool:
    begun = time.perf_counter()
    try:
        for number, row in enumerate(rows):
            if number >= LEAST and time.perf_counter() - begun > PATIENCE:
                break
            for predict, values in zip(predicts, whole, strict=True):
                if not same(listed(predict(make([row]))), values[number : number + 1]):
                    return False
        backwards = list(reversed(rows))
        return all(same(listed(p(make(backwards)))[::-1], values) for p, values in zip(predicts, whole, strict=True))
    except Exception:
        return False


def _timed(predict: Predict, make: Callable[[Any], Any], rows: Sequence[Any]) -> tuple[float, float]:
    """Seconds of one row and of each further one: the best of three, so that a busy machine does not count."""
    many = (list(rows) * (256 // len(rows) + 1))[:256]

    def best(asked: Any) -> float:
        took = []
        for _ in range(3):
            begun = time.perf_counter()
            predict(make(asked))
            took.append(time.perf_counter() - begun)
        return min(took)

    one, all_of_them = best(many[:1]), best(many)
    return one, max(0.0, (all_of_them - one) / 255)


def made_rows(signature: Signature, example: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows that fit the signature: values like those of the example and beyond them; the same every time."""
    dice = random.Random(0)
    columns = [
        _values(column, [row[n] for row in example if row[n] is not None], dice)
        for n, column in enumerate(signature.columns)
    ]
    return list(zip(*columns, strict=True))


def _values(column: Column, known: Sequence[Any], dice: random.Random) -> list[Any]:
    found: list[Any] = []
    for number in range(MADE):
        if not column.required and number % 5 == 1:
            found.append(None)
        elif column.type not in _MAKE:
            found.append(dice.choice(known) if known else None)
        else:
            found.append(_MAKE[column.type](known, dice))
    return found


def _number(known: Sequence[Any], dice: random.Random) -> float:
    low, high = (min(known), max(known)) if known else (-1.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    return dice.uniform(low - span / 2, high + span / 2)


def _whole(known: Sequence[Any], dice: random.Random) -> int:
    return max(-(2**31), min(2**31 - 1, round(_number(known, dice)))) if not known else round(_number(known, dice))


def _text(known: Sequence[Any], dice: random.Random) -> str:
    return str(dice.choice(known)) if known and dice.random() < 0.9 else dice.choice(["", "x", "other"])


def _moment(known: Sequence[Any], dice: random.Random) -> datetime:
    start = dice.choice(known) if known else datetime(2020, 1, 1)
    return start + timedelta(seconds=dice.uniform(-1e7, 1e7))


_MAKE: dict[str, Callable[[Sequence[Any], random.Random], Any]] = {
    "double": _number,
    "float": lambda known, dice: float(np.float32(_number(known, dice))),
    "integer": _whole,
    "long": _whole,
    "boolean": lambda known, dice: dice.random() < 0.5,
    "string": _text,
    "binary": lambda known, dice: dice.choice(known) if known else b"x",
    "datetime": _moment,
}


def _tensors(signature: Signature, example: Sequence[Any]) -> Sequence[Any]:
    tensor = signature.tensor
    if tensor is None:  # pragma: no cover - the caller asked
        return []
    if len(example):
        return [*np.array(example, dtype=tensor.dtype)]
    shape = [8, *(4 if size == -1 else size for size in tensor.shape)]
    return [*np.random.default_rng(0).normal(size=shape).astype(tensor.dtype)]
