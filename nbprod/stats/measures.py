"""Measures: how well answers fit the truth, with weights so that rows can be resampled by counting them.

The definitions are those of scikit-learn's metrics of the same names; they are written anew on NumPy because a
bootstrap calls them a thousand times, with a count for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Needs = Literal["labels", "scores", "values"]
EPSILON = 2.0**-52
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken, as in scikit-learn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One way to hold answers against the truth.

    Attributes:
        needs: ``labels``: truth and answers are arrays of labels; for those that speak of positives both are bool.
            ``scores``: truth is bool, answers are probabilities of the positive class. ``values``: numbers.
        better: which end is good.
        rows: the value of each row, if the measure is the mean of them; a resample is then one product.
        rate: of which rows it is a share and what is counted, if it is a share: ``(counted, among)``, both bool.
    """

    name: str
    needs: Needs
    better: Literal["higher", "lower"]
    compute: Callable[[Array, Array, Array], float]
    rows: Callable[[Array, Array], Array] | None = None
    rate: Callable[[Array, Array], tuple[Array, Array]] | None = None

    def __call__(self, truth: Array, answer: Array, weight: Array | None = None) -> float:
        """The measure over all rows.

        Args:
            truth, answer: shape (n,).
            weight: counts, shape (n,); None for one each.

        Returns:
            A number; nan where the measure is undefined, such as the recall where nothing is positive.
        """
        import numpy as np

        counts = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self.compute(np.asarray(truth), np.asarray(answer), counts))


def _share(counted: Array, among: Array, weight: Array) -> float:
    total = float(weight[among].sum())
    return float(weight[counted & among].sum()) / total if total else float("nan")


def _rate(
    name: str, better: Literal["higher", "lower"], split: Callable[[Array, Array], tuple[Array, Array]]
) -> Measure:
    """A measure that is a share of some rows."""

    def compute(truth: Array, answer: Array, weight: Array) -> float:
        return _share(*split(truth, answer), weight)

    return Measure(name=name, needs="labels", better=better, compute=compute, rate=split)


def _every(truth: Array) -> Array:
    import numpy as np

    return np.ones(len(truth), dtype=bool)


def _f1(truth: Array, answer: Array, weight: Array) -> float:
    hits = float(weight[truth & answer].sum())
    total = float(weight[truth].sum() + weight[answer].sum())
    return 2 * hits / total if total else float("nan")


def _balanced(truth: Array, answer: Array, weight: Array) -> float:
    """The mean of the recalls of all classes that there are."""
    import numpy as np

    recalls = [_share(answer == label, truth == label, weight) for label in np.unique(truth)]
    found = [recall for recall in recalls if recall == recall]
    return float(np.mean(found)) if found else float("nan")


def _roc_auc(truth: Array, score: Array, weight: Array) -> float:
    """The share of pairs of a positive and a negative in which the positive has the higher score, ties half."""
    return float(ranked_auc(truth, score)(weight[None, :])[0])


def ranked_auc(truth: Array, score: Array) -> Callable[[Array], Array]:
    """The area under the ROC curve as a function of weights, shape (some, n), for which the rows are sorted once.

    It is Mann and Whitney's statistic: for each positive the negatives with a lower score, and half of those with the
    same one.
    """
    import numpy as np

    order = np.argsort(score, kind="stable")
    positives, ranked = truth[order].astype(float), score[order]
    negatives = 1 - positives
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.array([], dtype=int)
    tied = len(starts) < len(ranked)

    def area(weight: Array) -> float:
        weight = weight.take(order)
        positive, negative = weight * positives, weight * negatives
        if tied:
            positive, negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
        below = np.cumsum(negative)
        pairs = float(positive.sum() * below[-1])
        return float(positive @ below - positive @ negative / 2) / pairs if pairs else float("nan")

    # One row at a time: what is computed then stays in the processor's cache.
    return lambda weights: np.array([area(weight) if len(starts) else float("nan") for weight in weights])


def _average_precision(truth: Array, score: Array, weight: Array) -> float:
    """The precision at each threshold, weighted by how much the recall grows there."""
    import numpy as np

    if not len(score):
        return float("nan")
    order = np.argsort(-score, kind="stable")
    truth, score, weight = truth[order], score[order], weight[order]
    ends = np.flatnonzero(np.r_[score[1:] != score[:-1], True])
    hits, all_ = np.cumsum(weight * truth)[ends], np.cumsum(weight)[ends]
    if hits[-1] == 0:
        return float("nan")
    growth = np.diff(np.r_[0.0, hits]) / hits[-1]
    precision = np.divide(hits, all_, out=np.zeros_like(hits, dtype=float), where=all_ > 0)
    return float((precision * growth).sum())


def _mean(rows: Callable[[Array, Array], Array]) -> Callable[[Array, Array, Array], float]:
    def compute(truth: Array, answer: Array, weight: Array) -> float:
        total = float(weight.sum())
        return float((rows(truth, answer) * weight).sum()) / total if total else float("nan")

    return compute


def _row_log_loss(truth: Array, score: Array) -> Array:
    import numpy as np

    kept = np.clip(score, EPSILON, 1 - EPSILON)
    found: Array = -np.log(np.where(truth, kept, 1 - kept))
    return found


def _row_brier(truth: Array, score: Array) -> Array:
    found: Array = (score - truth) ** 2
    return found


def _row_square(truth: Array, answer: Array) -> Array:
    found: Array = (answer - truth) ** 2
    return found


def _row_absolute(truth: Array, answer: Array) -> Array:
    found: Array = abs(answer - truth)
    return found


def _row_percentage(truth: Array, answer: Array) -> Array:
    import numpy as np

    found: Array = abs(answer - truth) / np.maximum(abs(truth), np.finfo(float).eps)
    return found


def _row_hit(truth: Array, answer: Array) -> Array:
    found: Array = (truth == answer).astype(float)
    return found


def _rmse(truth: Array, answer: Array, weight: Array) -> float:
    return float(_mean(_row_square)(truth, answer, weight) ** 0.5)


def _r2(truth: Array, answer: Array, weight: Array) -> float:
    import numpy as np

    total = float(weight.sum())
    if not total:
        return float("nan")
    spread = float((weight * (truth - np.average(truth, weights=weight)) ** 2).sum())
    return 1 - float((weight * _row_square(truth, answer)).sum()) / spread if spread else float("nan")


def _median(truth: Array, answer: Array, weight: Array) -> float:
    """The weighted median, the mean of two where half of the weight lies on either side."""
    import numpy as np

    kept = weight > 0
    errors, counts = _row_absolute(truth, answer)[kept], weight[kept]
    if not len(errors):
        return float("nan")
    order = np.argsort(errors)
    errors, below = errors[order], np.cumsum(counts[order])
    half = below[-1] / 2
    low = errors[np.searchsorted(below, half, side="left")]
    high = errors[min(np.searchsorted(below, half, side="right"), len(errors) - 1)]
    return float((low + high) / 2)


def _by_row(
    name: str, needs: Needs, better: Literal["higher", "lower"], rows: Callable[[Array, Array], Array]
) -> Measure:
    """A measure that is the mean of a value for each row."""
    return Measure(name=name, needs=needs, better=better, compute=_mean(rows), rows=rows)


_ALL = (
    Measure(
        name="accuracy",
        needs="labels",
        better="higher",
        compute=_mean(_row_hit),
        rows=_row_hit,
        rate=lambda truth, answer: (truth == answer, _every(truth)),
    ),
    Measure(name="balanced_accuracy", needs="labels", better="higher", compute=_balanced),
    _rate("precision", "higher", lambda truth, answer: (truth, answer)),
    _rate("recall", "higher", lambda truth, answer: (answer, truth)),
    _rate("true_positive_rate", "higher", lambda truth, answer: (answer, truth)),
    _rate("true_negative_rate", "higher", lambda truth, answer: (~answer, ~truth)),
    _rate("false_positive_rate", "lower", lambda truth, answer: (answer, ~truth)),
    _rate("false_negative_rate", "lower", lambda truth, answer: (~answer, truth)),
    _rate("selection_rate", "higher", lambda truth, answer: (answer, _every(truth))),
    _rate("base_rate", "higher", lambda truth, answer: (truth, _every(truth))),
    Measure(name="f1", needs="labels", better="higher", compute=_f1),
    Measure(name="roc_auc", needs="scores", better="higher", compute=_roc_auc),
    Measure(name="average_precision", needs="scores", better="higher", compute=_average_precision),
    _by_row("log_loss", "scores", "lower", _row_log_loss),
    _by_row("brier_score", "scores", "lower", _row_brier),
    Measure(name="rmse", needs="values", better="lower", compute=_rmse),
    _by_row("mae", "values", "lower", _row_absolute),
    _by_row("mse", "values", "lower", _row_square),
    _by_row("mape", "values", "lower", _row_percentage),
    Measure(name="r2", needs="values", better="higher", compute=_r2),
    Measure(name="median_absolute_error", needs="values", better="lower", compute=_median),
)

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _ALL}
"""Name -> measure."""

OF_LABELS = frozenset({"accuracy", "balanced_accuracy"})
"""Measures of labels of any number of classes; the others of labels speak of positives."""


def measure(name: str) -> Measure:
    """A measure by its name.

    Raises:
        UsageError: there is none; with the nearest.
    """
    if name not in MEASURES:
        raise UsageError(
            f"there is no measure '{name}' that can be computed from predictions.{nearest(name, MEASURES)}"
        )
    return MEASURES[name]
