"""Drift tests: plain functions that hold the counts of a window against those of the reference.

They are found under the entry point group ``nbprod.drift_tests``; a test of one's own is a function of the same form.
All work on counts in bins, so that a window costs the same whether it has a thousand rows or a billion.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbprod.monitoring.columns import Column
from nbprod.monitoring.facts import Drift
from nbprod.plugins import resolve

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

GROUP = "nbprod.drift_tests"

ALPHA = 0.05
EFFECT = 0.08
"""A smaller difference is what days of a week differ by; a shift of a quarter of a standard deviation is larger."""

EXPECTED = 5.0
"""A chi-square test joins bins in which it expects fewer rows than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """Counts in bins.

    Attributes:
        places: the middle of each bin in standard deviations of the reference; None of a category.
    """

    counts: Array
    places: Array | None = None

    @property
    def rows(self) -> float:
        """All rows."""
        return float(self.counts.sum())

    @property
    def shares(self) -> Array:
        """The share of each bin."""
        found: Array = self.counts / max(self.rows, 1.0)
        return found


def ks(reference: Binned, current: Binned, *, alpha: float = ALPHA, effect: float = EFFECT) -> Drift:
    """Kolmogorov and Smirnov's two-sample test of ordered bins; the effect is the largest gap of the two distributions.

    On bins it is conservative: the gap is looked at between bins only. The p-value is Stephens's (1970) approximation.
    """
    import numpy as np

    gap = float(np.abs(np.cumsum(reference.shares) - np.cumsum(current.shares)).max(initial=0.0))
    size = math.sqrt(reference.rows * current.rows / max(reference.rows + current.rows, 1.0))
    p = _kolmogorov(gap * (size + 0.12 + 0.11 / max(size, 1e-9)))
    return Drift(test="ks", statistic=gap, p=p, effect=gap, drifted=p < alpha and gap >= effect)


def _kolmogorov(value: float) -> float:
    """The upper tail of Kolmogorov's distribution."""
    if value < 0.2:
        return 1.0
    terms = [(2.0 if k % 2 else -2.0) * math.exp(-2 * (k * value) ** 2) for k in range(1, 101)]
    return min(1.0, max(0.0, sum(terms)))


def chi2(reference: Binned, current: Binned, *, alpha: float = ALPHA, effect: float = EFFECT) -> Drift:
    """Pearson's chi-square test that both come from the same shares; the effect is half the sum of their differences.

    That is the share of rows that would have to change their value, from 0 to 1. Bins in which fewer than five rows are
    expected are joined, so that rare values do not alarm by themselves.
    """
    import numpy as np

    both = np.stack([reference.counts, current.counts]).astype(float)
    total = both.sum()
    if not both.sum(axis=1).all():
        return Drift(test="chi2", statistic=0.0, p=1.0, effect=0.0, drifted=False)
    apart = float(np.abs(reference.shares - current.shares).sum() / 2)
    expected = both.sum(axis=0) * both.sum(axis=1).min() / total
    rare = expected < EXPECTED
    joined = np.column_stack([both[:, ~rare], both[:, rare].sum(axis=1)]) if rare.any() else both
    joined = joined[:, joined.sum(axis=0) > 0]
    freedom = joined.shape[1] - 1
    if freedom < 1:
        return Drift(test="chi2", statistic=0.0, p=1.0, effect=apart, drifted=False)
    fitted = np.outer(joined.sum(axis=1), joined.sum(axis=0)) / total
    statistic = float(((joined - fitted) ** 2 / fitted).sum())
    p = _chi_square_tail(statistic, freedom)
    return Drift(test="chi2", statistic=statistic, p=p, effect=apart, drifted=p < alpha and apart >= effect)


def _chi_square_tail(value: float, freedom: int) -> float:
    """The upper tail of the chi-square distribution, by its closed form for whole degrees of freedom.

    SciPy's takes a fifth of a second to import, which is a fifth of what looking at 100,000 rows may take.
    """
    half = value / 2
    if freedom % 2:
        tail, term, first = math.erfc(math.sqrt(half)), math.exp(-half) * math.sqrt(half) / math.gamma(1.5), 1.5
    else:
        tail, term, first = 0.0, math.exp(-half), 1.0
    for number in range(freedom // 2):
        tail += term
        term *= half / (first + number)
    return min(1.0, tail)


def psi(reference: Binned, current: Binned, *, threshold: float = 0.2) -> Drift:
    """The population stability index; it has a noise floor of (k - 1)(1/n + 1/m) for k bins.

    Empty bins count half a row. The threshold knows nothing of the number of rows: see docs/monitoring.md.
    """
    import numpy as np

    one, other = (np.maximum(side.counts, 0.5) / max(side.rows, 1.0) for side in (reference, current))
    value = float(((other - one) * np.log(other / one)).sum())
    return Drift(test="psi", statistic=value, effect=value, drifted=value > threshold)


def js(reference: Binned, current: Binned, *, threshold: float = 0.1) -> Drift:
    """The Jensen-Shannon distance, to base 2: 0 for equal shares, 1 where they share nothing."""
    import numpy as np

    one, other = reference.shares, current.shares
    middle = (one + other) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log2(side / middle), 0.0).sum() / 2 for side in (one, other)]
    value = math.sqrt(max(0.0, float(sum(parts))))
    return Drift(test="js", statistic=value, effect=value, drifted=value > threshold)


def wasserstein(reference: Binned, current: Binned, *, threshold: float = 0.1) -> Drift:
    """How far the mass must be moved, in standard deviations of the reference; of a category, how much of it."""
    import numpy as np

    if reference.places is None:
        value = float(np.abs(reference.shares - current.shares).sum() / 2)
    else:
        gaps = np.abs(np.cumsum(reference.shares - current.shares))[:-1]
        value = float((gaps * np.diff(reference.places)).sum())
    return Drift(test="wasserstein", statistic=value, effect=value, drifted=value > threshold)


def binned_pair(reference: Column, current: Column) -> tuple[Binned, Binned]:
    """Two columns as a test takes them."""
    import numpy as np

    places = None
    known, own = (np.array(column.filled(), dtype=float) for column in (reference, current))
    if reference.grid is not None:
        edges = np.array(reference.grid.edges)
        middle = (edges[1:] + edges[:-1]) / 2
        mean = (middle * known).sum() / max(known.sum(), 1.0)
        spread = math.sqrt((known * (middle - mean) ** 2).sum() / max(known.sum(), 1.0)) or 1.0
        places = middle / spread
    return Binned(counts=known, places=places), Binned(counts=own, places=places)


def compare(
    reference: Column, current: Column, *, test: str, options: Mapping[str, Any], alpha: float, effect: float
) -> Drift | None:
    """What a test says of a column; None where there is nothing to compare.

    Args:
        test: its name; ``auto`` for ``ks`` of numbers and ``chi2`` of categories.
        options: the test's keywords.
        alpha, effect: given to tests that take them.
    """
    if reference.kind == "other" or not reference.known or not current.known:
        return None
    name = ("ks" if reference.kind == "number" else "chi2") if test == "auto" else test
    function: Callable[..., Drift] = OWN.get(name) or resolve(GROUP, name)
    takes = inspect.signature(function).parameters
    given = {key: value for key, value in (("alpha", alpha), ("effect", effect)) if key in takes}
    return function(*binned_pair(reference, current), **{**given, **options})


OWN: Mapping[str, Callable[..., Drift]] = {"ks": ks, "chi2": chi2, "psi": psi, "js": js, "wasserstein": wasserstein}
"""nbprod's own, which need no look-up."""
