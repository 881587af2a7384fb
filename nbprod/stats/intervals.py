"""Intervals: how far a measure would move if other rows had been drawn."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, overload

from nbprod.errors import UsageError
from nbprod.stats.measures import Measure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CELLS = 100_000
"""Counts that are drawn at once, or those of one resample: few enough to stay in the processor's cache."""

DEFINED = 0.95
"""Share of resamples in which a measure must be defined to have an interval."""


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)


@overload
def wilson(successes: float, count: float, *, confidence: float = 0.95) -> tuple[float, float]: ...
@overload
def wilson(successes: Array, count: Array, *, confidence: float = 0.95) -> tuple[Array, Array]: ...
def wilson(successes: Any, count: Any, *, confidence: float = 0.95) -> tuple[Any, Any]:
    """Wilson's score interval of a share (Wilson 1927): it stays within 0 and 1, and holds for small counts.

    Args:
        successes, count: rows; two numbers, or two arrays of one shape.

    Returns:
        Lower and upper bound; (0, 1) where there are no rows.
    """
    import numpy as np

    z2 = normal_quantile(1 - tail(confidence)) ** 2
    hits, rows = np.asarray(successes, dtype=float), np.asarray(count, dtype=float)
    some = np.maximum(rows, 1)
    share = hits / some
    centre = (share + z2 / (2 * some)) / (1 + z2 / some)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * some)) / some) / (1 + z2 / some)
    # exactly 0 and 1 at the ends, where rounding leaves crumbs
    low = np.where((hits <= 0) | (rows <= 0), 0.0, centre - half)
    high = np.where((hits >= rows) | (rows <= 0), 1.0, centre + half)
    return (low, high) if low.ndim else (float(low), float(high))


def bootstrap(
    measure: Measure, truth: Array, answer: Array, *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap interval of a measure (Efron 1979); (nan, nan) where it is undefined.

    It is a little too narrow for fewer than about 50 rows, and has no width where all rows are alike, such as for an
    accuracy of 1: for shares of rows take `wilson`.

    Args:
        truth, answer: as the measure takes them.

    Raises:
        UsageError: they are not as the measure takes them, or the options make no sense.
    """
    (values,) = resampled(measure, truth, (answer,), resamples=resamples, seed=seed)
    return percentiles(values, confidence=confidence)


def percentiles(values: Array, *, confidence: float) -> tuple[float, float]:
    """The middle part of some values, nan left out; (nan, nan) where too many of them are (see `DEFINED`)."""
    import numpy as np

    outside = tail(confidence)
    good = values[~np.isnan(values)]
    if len(good) < max(1, DEFINED * len(values)):
        return float("nan"), float("nan")
    low, high = np.quantile(good, [outside, 1 - outside])
    return float(low), float(high)


def resampled(
    measure: Measure, truth: Array, answers: tuple[Array, ...], *, resamples: int, seed: int
) -> tuple[Array, ...]:
    """A measure on resamples of the rows, the same resamples for all answers: arrays of shape (resamples,)."""
    import numpy as np

    if resamples < 1:
        raise UsageError(f"a bootstrap needs at least one resample, not {resamples}: 1000 is a good number.")
    evaluate = [measure.weighted(truth, answer) for answer in answers]
    found = tuple(np.empty(resamples) for _ in answers)
    done = 0
    for counts in _counts(np.random.default_rng(seed), len(truth), resamples):
        for values, one in zip(found, evaluate, strict=True):
            values[done : done + len(counts)] = one(counts)
        done += len(counts)
    return found


def tail(confidence: float) -> float:
    """The probability on either side of an interval.

    Raises:
        UsageError: the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"a confidence is between 0 and 1, such as 0.95, not {confidence:g}.")
    return (1 - confidence) / 2


def _counts(generator: np.random.Generator, rows: int, resamples: int) -> Iterator[Array]:
    """How often each row is drawn, in blocks of shape (some, rows): as many draws as rows, with replacement."""
    import numpy as np

    block = max(1, CELLS // max(rows, 1))
    for start in range(0, resamples, block):
        some = min(block, resamples - start)
        drawn = generator.integers(0, max(rows, 1), (some, rows))
        if some > 1:
            drawn += np.arange(some)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=some * rows).reshape(some, rows).astype(float)
