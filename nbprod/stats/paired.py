"""Two models on the same rows: is one better, and how sure is that?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import Fact
from nbprod.errors import UsageError
from nbprod.stats.intervals import percentiles, resampled
from nbprod.stats.measures import Measure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Judgement = Literal["better", "not worse", "worse", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Fact):
    """What a paired bootstrap found.

    Attributes:
        candidate, champion: the measure of each on all rows.
        difference: the candidate's less the champion's, with the sign turned where lower is better: more is better.
        interval: of the difference; nan where too many resamples leave it undefined.
    """

    candidate: float
    champion: float
    difference: float
    interval: tuple[float, float]
    rows: int
    resamples: int


def compare(
    measure: Measure,
    truth: Array,
    candidate: Array,
    champion: Array,
    *,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two models by a paired bootstrap: in each resample both answer the same rows.

    What they share, such as rows that are hard for both, cancels out, so that the interval is far narrower than those
    of the two measures are. It has no width where both answer all rows alike: that says that they are the same on these
    rows, not on others.

    Args:
        truth, candidate, champion: as the measure takes them.

    Raises:
        UsageError: they are not as the measure takes them, or the options make no sense.
    """
    sign = 1.0 if measure.better == "higher" else -1.0
    first, second = resampled(measure, truth, (candidate, champion), resamples=resamples, seed=seed)
    found, known = measure(truth, candidate), measure(truth, champion)
    return Comparison(
        candidate=found,
        champion=known,
        difference=sign * (found - known),
        interval=percentiles(sign * (first - second), confidence=confidence),
        rows=len(truth),
        resamples=resamples,
    )


def judge(interval: tuple[float, float], *, tolerance: float) -> Judgement:
    """What an interval of a difference says.

    Args:
        interval: of the candidate's measure less the champion's, more is better.
        tolerance: how much worse is as good as equal, in the measure's unit, not negative.

    Raises:
        UsageError: the tolerance is negative or no number.
    """
    if not tolerance >= 0:
        raise UsageError(f"a tolerance says how much worse is as good as equal: 0 or more, not {tolerance:g}.")
    low, high = interval
    if math.isnan(low) or math.isnan(high):
        return "undecided"
    if low > 0:
        return "better"
    if low >= -tolerance:
        return "not worse"
    return "worse" if high < -tolerance else "undecided"
