"""Measures that sort: the rows are sorted once, and each resample is then one pass over its counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Weighted = Callable[[Array], Array]


def ratio(part: Array, whole: Array) -> Array:
    """Part by whole, nan where the whole is not above 0."""
    import numpy as np

    found: Array = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return found


def roc_auc(truth: Array, score: Array) -> Weighted:
    """The area under the ROC curve: the share of pairs in which the positive scores higher, ties half.

    That is Mann and Whitney's statistic (1947); a pair is a positive and a negative.

    Args:
        truth: bool, shape (n,).
        score: shape (n,).
    """
    import numpy as np

    negative, positive = _ranked(~truth, score), _ranked(truth, score)
    lower = np.searchsorted(score[negative], score[positive], side="left")
    not_higher = np.searchsorted(score[negative], score[positive], side="right")
    tied = bool((lower != not_higher).any())

    def areas(weights: Array) -> Array:
        before = np.zeros((len(weights), len(negative) + 1))
        np.cumsum(np.take(weights, negative, axis=1), axis=1, out=before[:, 1:])
        counts = np.take(weights, positive, axis=1)
        below = np.take(before, lower, axis=1)
        if tied:
            below += np.take(before, not_higher, axis=1)
            below /= 2
        return ratio(np.einsum("ij,ij->i", counts, below), counts.sum(axis=1) * before[:, -1])

    return areas


def roc_auc_of_classes(truth: Array, scores: Array) -> Weighted:
    """The mean of each class's area against the rest, every class counting the same; nan where one has no rows.

    Args:
        truth: codes 0..k-1, shape (n,).
        scores: shape (n, k).
    """
    parts = [roc_auc(truth == code, scores[:, code]) for code in range(scores.shape[1])]

    def areas(weights: Array) -> Array:
        total: Array = sum(part(weights) for part in parts) / len(parts)  # type: ignore[assignment]
        return total

    return areas


def average_precision(truth: Array, score: Array) -> Weighted:
    """The mean over the positives of the precision among the rows that score at least as high as each.

    Args:
        truth: bool, shape (n,).
        score: shape (n,).
    """
    import numpy as np

    order = np.argsort(-score, kind="stable")
    ranked = -score[order]
    among = np.flatnonzero(truth[order])
    last = np.searchsorted(ranked, ranked[among], side="right") - 1
    hits_last = np.searchsorted(among, last, side="right") - 1

    def means(weights: Array) -> Array:
        sorted_ = np.take(weights, order, axis=1)
        counts = np.take(sorted_, among, axis=1)
        hits = np.take(np.cumsum(counts, axis=1), hits_last, axis=1)
        rows = np.take(np.cumsum(sorted_, axis=1), last, axis=1)
        precision = np.divide(hits, rows, out=np.zeros_like(hits), where=rows > 0)
        return ratio(np.einsum("ij,ij->i", counts, precision), counts.sum(axis=1))

    return means


def median(values: Array) -> Weighted:
    """The median, the mean of the middle two where half of the weight lies on either side.

    Args:
        values: shape (n,).
    """
    import numpy as np

    order = np.argsort(values, kind="stable")
    ranked = values[order]

    def medians(weights: Array) -> Array:
        sums = np.cumsum(np.take(weights, order, axis=1), axis=1)
        found = np.full(len(weights), np.nan)
        for row, upto in enumerate(sums):
            if upto[-1] > 0:
                low, high = (int(np.searchsorted(upto, upto[-1] / 2, side=side)) for side in ("left", "right"))
                found[row] = (ranked[low] + ranked[high]) / 2
        return found

    return medians


def mean_recall(truth: Array, answer: Array) -> Weighted:
    """The mean of the recalls of all classes that have rows.

    Args:
        truth, answer: labels of any kind, shape (n,).
    """
    import numpy as np

    codes = {label: code for code, label in enumerate(dict.fromkeys(truth.tolist()))}
    code = np.array([codes[label] for label in truth.tolist()])
    hit = np.array([codes.get(label, -1) for label in answer.tolist()]) == code

    def means(weights: Array) -> Array:
        found = np.empty(len(weights))
        for row, counts in enumerate(weights):
            rows = np.bincount(code, counts, len(codes))
            hits = np.bincount(code[hit], counts[hit], len(codes))
            there = rows > 0
            found[row] = (hits[there] / rows[there]).mean() if there.any() else np.nan
        return found

    return means


def _ranked(chosen: Array, score: Array) -> Array:
    """The places of the chosen rows, by their score."""
    import numpy as np

    places = np.flatnonzero(chosen)
    found: Array = places[np.argsort(score[places], kind="stable")]
    return found
