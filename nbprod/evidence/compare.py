"""Two runs of one recipe: whether metrics, predictions, rows and schema of the second are those of the first.

Models are not deterministic, and files of equal models differ in their bytes: bytes are told for information only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import Fact, Metric

if TYPE_CHECKING:
    import numpy as np

Reproduced = Literal["identical", "within tolerance", "different", "cannot"]
Agreement = Literal["identical", "within tolerance", "different", "unknown"]

ORDER: tuple[Agreement, ...] = ("different", "within tolerance", "unknown", "identical")
"""From what decides most to what decides least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Fact):
    """One thing of the recorded run against the same of the new one.

    Attributes:
        what: such as ``test/roc_auc`` or ``predictions``.
        recorded, found: as text for a table.
        difference: how far apart they are, in the unit that the tolerance has; None where that says nothing.
        note: what else should be known.
    """

    what: str
    agreement: Agreement
    recorded: str = ""
    found: str = ""
    difference: float | None = None
    note: str = ""


def compare_metrics(
    recorded: Iterable[Mapping[str, Any]], found: Iterable[Metric], *, tolerance: float
) -> list[Compared]:
    """Each recorded metric; it may differ by ``tolerance``, or by that share of itself where it is larger than 1."""
    new = {(metric.stage, metric.name, metric.dataset): metric.value for metric in found}
    compared = []
    for metric in recorded:
        what = f"{metric['dataset']}/{metric['name']}"
        value = float(metric["value"])
        again = new.get((metric["stage"], metric["name"], metric["dataset"]))
        if again is None:
            compared.append(Compared(what=what, agreement="different", recorded=str(value), found="not reported"))
            continue
        away = abs(value - again)
        same = value == again or (math.isnan(value) and math.isnan(again))
        compared.append(
            Compared(
                what=what,
                agreement="identical" if same else _within(away, tolerance * max(1.0, abs(value))),
                recorded=repr(value),
                found=repr(again),
                difference=0.0 if same else away,
            )
        )
    return compared


def compare_predictions(recorded: np.ndarray[Any, Any], found: np.ndarray[Any, Any], *, tolerance: float) -> Compared:
    """What two models answer to the same rows, each an array of rows, or of rows x outputs.

    Numbers may differ by ``tolerance`` standard deviations of the recorded ones (root mean square), labels in that
    share of the rows.
    """
    import numpy as np

    shape = f"{len(recorded):,} rows"
    if recorded.shape != found.shape:
        said = f"answers of the shape {found.shape}"
        return Compared(what="predictions", agreement="different", recorded=str(recorded.shape), found=said)
    if recorded.dtype.kind == "f" and found.dtype.kind in "fiu":
        known = ~(np.isnan(recorded) & np.isnan(found))  # a nan that only one of them has is no equal answer
        spread = float(np.std(recorded[known])) if known.any() else 0.0
        away = float(np.sqrt(np.mean((recorded - found)[known] ** 2))) / (spread or 1.0) if known.any() else 0.0
        same = bool(np.array_equal(recorded, found, equal_nan=True))
        note = f"root mean square difference {away:.2g} standard deviations"
    else:
        unequal = np.asarray(recorded != found)
        away = float(np.mean(unequal)) if recorded.size else 0.0
        same = not unequal.any()
        note = f"{away:.2%} of the rows are answered otherwise"
    agreement = "identical" if same else _within(away, tolerance)
    return Compared(
        what="predictions", agreement=agreement, recorded=shape, found=shape, difference=away, note="" if same else note
    )


def compare_texts(what: str, recorded: Any, found: Any, *, note: str = "") -> Compared:
    """What must be equal, such as the names of columns."""
    if recorded == found:
        return Compared(what=what, agreement="identical", recorded=_short(recorded), found=_short(found))
    return Compared(what=what, agreement="different", recorded=_short(recorded), found=_short(found), note=note)


def verdict_of(compared: Sequence[Compared]) -> Reproduced:
    """The verdict over everything: the worst counts, and what is unknown does not make it worse."""
    if not compared:
        return "cannot"
    worst = min((each.agreement for each in compared), key=ORDER.index)
    return "identical" if worst == "unknown" and any(c.agreement == "identical" for c in compared) else _known(worst)


def _known(agreement: Agreement) -> Reproduced:
    return "cannot" if agreement == "unknown" else agreement


def _within(away: float, limit: float) -> Agreement:
    return "within tolerance" if away <= limit else "different"  # nan is never within


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
