"""Gates about what a version costs to run: how long an answer takes, and how large the model is."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from nbprod.entities import GateResult
from nbprod.errors import NbprodError, UsageError, nearest
from nbprod.gates.answers import raised
from nbprod.gates.contender import Contender
from nbprod.gates.words import number

WARM = 20
"""Calls before the clock runs: the first ones import code and fill caches."""

UNITS: Mapping[str, int] = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", start=1)},
    **{f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", start=1)},
}
"""Units of size, in capitals, in bytes."""

KINDS = {"long": "int64", "integer": "int32", "double": "float64", "float": "float32", "boolean": "bool"}
"""MLflow's types of columns, as pandas calls them."""


def latency(
    candidate: Contender, champion: Contender | None, *, p99_ms: float, rows: int = 1, calls: int = 200
) -> GateResult:
    """Of calls of the model in this process, 99 in 100 take no longer than so many milliseconds.

    It is asked about the example, over and over. There is no service around it, and the time is that of this machine.

    Args:
        rows: of each call.
        calls: so many are timed; with fewer than 100 the slowest decides.

    Raises:
        UsageError: the entry has no example, or not one that is a table or an array.
        ArtifactError: the model is not to be had.
    """
    for option, count in (("rows", rows), ("calls", calls)):
        if count < 1:
            raise UsageError(f"{option} of the gate latency must be 1 or more, not {count}.")
    question, model = example_rows(candidate, rows), candidate.model()
    try:
        seconds = timed(lambda: model.predict(question), calls=calls, clock=time.perf_counter)
    except NbprodError:
        raise
    except Exception as error:  # whatever a model raises is the result
        reason = f"{candidate.ref} fails on its own example ({raised(error)})."
        return GateResult(gate="latency", verdict="failed", reason=reason)
    return judge_latency(seconds, p99_ms=p99_ms, rows=rows)


def timed(call: Callable[[], Any], *, calls: int, clock: Callable[[], float]) -> list[float]:
    """How long each of some calls took, in seconds, after others that are not counted.

    Args:
        clock: seconds, never going back.
    """
    for _ in range(WARM):
        call()
    took = []
    for _ in range(calls):
        begun = clock()
        call()
        took.append(clock() - begun)
    return took


def judge_latency(seconds: Sequence[float], *, p99_ms: float, rows: int) -> GateResult:
    """Whether calls are fast enough.

    The p99 is the shortest time that 99 in 100 calls do not exceed, which is the time of one of them.
    """
    ordered = sorted(1000 * value for value in seconds)
    p50, p90, p99 = (ordered[math.ceil(share * len(ordered) / 100) - 1] for share in (50, 90, 99))
    fast = p99 <= p99_ms
    took = f"99 in 100 of {len(ordered):,} calls with {rows:,} {'row' if rows == 1 else 'rows'} take {number(p99)} ms"
    return GateResult(
        gate="latency",
        verdict="passed" if fast else "failed",
        reason=f"{took}, {'at' if fast else 'but must take at'} most {number(p99_ms)} ms.",
        observed=p99,
        required=f"at most {number(p99_ms)} ms",
        details={"p50_ms": p50, "p90_ms": p90, "slowest_ms": ordered[-1], "rows": rows, "calls": len(ordered)},
    )


def example_rows(candidate: Contender, rows: int) -> Any:
    """So many rows of the entry's example, over and over: a table with the signature's types, or an array.

    Raises:
        UsageError: there is no example, or it has another form.
    """
    import numpy as np
    import pandas as pd

    example, signature = candidate.entry["model"]["example"], candidate.entry["model"]["signature"]["inputs"] or ()
    data = example.get("data", example.get("inputs")) if isinstance(example, Mapping) else example
    if not isinstance(data, list) or not data:
        raise UsageError(
            f"{candidate.ref} has no example that is a table or an array, so it cannot be timed: log the model with "
            "`example=`."
        )
    taken = [data[position % len(data)] for position in range(rows)]
    if not isinstance(example, Mapping) or "columns" not in example:
        return np.asarray(taken)
    table = pd.DataFrame(taken, columns=example["columns"])
    for column in signature:
        name, kind = column.get("name"), column.get("type")
        if name not in table.columns:
            continue
        if kind == "datetime":
            table[name] = pd.to_datetime(table[name])
        elif kind in KINDS and (kind in ("double", "float") or not table[name].isna().any()):
            table[name] = table[name].astype(KINDS[kind])
    return table


def size(candidate: Contender, champion: Contender | None, *, at_most: int | str = "50MB") -> GateResult:
    """The model's files have no more than so many bytes.

    Args:
        at_most: bytes, or text such as ``50MB`` (of 1,000,000) or ``1.5 GiB`` (of 1,024³).
    """
    limit, found = size_in_bytes(at_most), int(candidate.entry["model"]["bytes"])
    small = found <= limit
    return GateResult(
        gate="size",
        verdict="passed" if small else "failed",
        reason=f"the model has {found:,} bytes, {'at' if small else 'but must have at'} most {limit:,}.",
        observed=found,
        required=f"at most {limit:,}",
    )


def size_in_bytes(text: int | str) -> int:
    """A size as a person writes it, in bytes: ``50MB``, ``1.5 GB``, ``300 KiB`` or a plain number.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)", str(text).strip(), flags=re.ASCII)
    if not match:
        raise UsageError(f"'{text}' is no size: write bytes, or a number with a unit, such as 50MB or 1.5 GB.")
    unit = match[2].upper()
    if unit not in UNITS:
        raise UsageError(f"'{text}' has no unit of size that is known.{nearest(unit, UNITS.keys() - {''})}")
    return int(Fraction(match[1]) * UNITS[unit])
