"""Intervals: how far a measure would move if other rows had been drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbprod.stats.measures import Measure, ranked_auc

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CELLS = 4_000_000
"""Counts that are drawn at once: 32 MB, whatever the number of rows."""


def wilson(successes: float, count: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927): it stays within 0 and 1, and holds for small counts.

    Args:
        successes, count: rows.

    Returns:
        Lower and upper bound; (0, 1) where there are no rows.
    """
    if count <= 0:
        return 0.0, 1.0
    z = normal_quantile((1 + confidence) / 2)
    share = successes / count
    centre = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    scale = 1 + z * z / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def bootstrap(
    measure: Measure, truth: Array, answer: Array, *, resamples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """The percentile bootstrap interval of a measure (Efron 1979); (nan, nan) where it is undefined.

    Args:
        truth, answer: as the measure takes them.
    """
    (values,) = resampled(measure, truth, (answer,), resamples=resamples, seed=seed)
    return percentiles(values, confidence=confidence)


def percentiles(values: Array, *, confidence: float) -> tuple[float, float]:
    """The middle part of some values, nan left out; (nan, nan) where more than a twentieth of them are nan."""
    import numpy as np

    good = values[~np.isnan(values)]
    if len(good) < 0.95 * len(values) or not len(good):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(good, [tail, 1 - tail])
    return float(low), float(high)


def resampled(
    measure: Measure, truth: Array, answers: tuple[Array, ...], *, resamples: int, seed: int
) -> tuple[Array, ...]:
    """A measure on resamples of the rows, the same resamples for all answers: arrays of shape (resamples,)."""
    import numpy as np

    generator = np.random.default_rng(seed)
    truth = np.asarray(truth)
    evaluate = [_prepared(measure, truth, np.asarray(answer)) for answer in answers]
    found = [np.empty(resamples) for _ in answers]
    done = 0
    for counts in _counts(generator, len(truth), resamples):
        for values, one in zip(found, evaluate, strict=True):
            values[done : done + len(counts)] = one(counts)
        done += len(counts)
    return tuple(found)


def _counts(generator: np.random.Generator, rows: int, resamples: int) -> Iterator[Array]:
    """How often each row is drawn, in blocks of shape (some, rows): as many draws as rows, with replacement."""
    import numpy as np

    block = max(1, min(resamples, CELLS // max(rows, 1)))
    left = resamples
    while left:
        some = min(block, left)
        counts = np.empty((some, rows))
        for row in counts:
            row[:] = np.bincount(generator.integers(0, rows, rows), minlength=rows)
        yield counts
        left -= some


def _prepared(measure: Measure, truth: Array, answer: Array) -> Any:
    """A function from counts, of shape (some, rows), to values; what does not depend on the counts is done once."""
    import numpy as np

    if measure.rows is not None:
        values = measure.rows(truth, answer)
        return lambda counts: counts @ values / counts.sum(axis=1)
    if measure.rate is not None:
        counted, among = (np.asarray(part, dtype=float) for part in measure.rate(truth, answer))
        both = counted * among
        return lambda counts: _ratio(counts @ both, counts @ among)
    if measure.name == "roc_auc":
        return ranked_auc(truth, answer)
    return lambda counts: np.array([measure(truth, answer, row) for row in counts])


def _ratio(part: Array, whole: Array) -> Array:
    import numpy as np

    found: Array = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return found
