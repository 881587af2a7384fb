"""Measures: how well answers fit the truth, as functions of how often each row counts, so that rows can be resampled.

The definitions are those of scikit-learn's metrics of the same names, but for two things: what is undefined is nan,
where that library says 0 or fails, and so is all that is made of a number that is not finite. They are written anew on
NumPy because a bootstrap asks for them a thousand times: what does not depend on the counts, such as sorting, is done
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.errors import UsageError, nearest
from nbprod.stats.ranked import average_precision, mean_recall, median, ratio, roc_auc, roc_auc_of_classes

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Weighted = Callable[[Array], Array]
    Terms = Callable[[Array, Array], tuple[Array, ...]]

Needs = Literal["labels", "scores", "values"]
Better = Literal["higher", "lower"]

OF_LABELS = frozenset({"accuracy", "balanced_accuracy"})
"""Measures of labels of any kind; the others of labels speak of positives, and take booleans only."""

IN_UNITS = frozenset({"mae", "rmse", "mse", "median_absolute_error"})
"""Measures in the unit of what is predicted, or its square, so that only a share of them means the same everywhere."""

OF_CLASSES = frozenset({"log_loss", "roc_auc"})
"""Measures of scores that also take the probabilities of several classes; the others take those of positives only."""

OF_PROBABILITIES = frozenset({"brier_score", "log_loss"})
"""Measures of scores that must lie within 0 and 1; the others only ask for their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One way to hold answers against the truth.

    Attributes:
        needs: ``labels``: truth and answer are labels, shape (n,); for all but those in `OF_LABELS` they are booleans:
            whether the row is of the positive class. ``scores``: truth is bool, answer the score of the positive class,
            shape (n,); those in `OF_CLASSES` also take codes 0..k-1 and probabilities of shape (n, k), and roc_auc is
            then the mean of one class against the rest. ``values``: numbers, shape (n,).
        better: which end is good; of a selection rate and a base rate, which have no good end, it says ``higher``.
        prepare: truth and answer, not empty and finite -> a function of weights (some, n) with values (some,).
        rate: if it is a share of rows: truth and answer -> ``(counted, among)``, both bool; the share is that of
            ``counted & among`` in ``among``.
    """

    name: str
    needs: Needs
    better: Better
    prepare: Callable[[Array, Array], Weighted]
    rate: Terms | None = None

    def __call__(self, truth: Array, answer: Array, weight: Array | None = None) -> float:
        """The measure over all rows.

        Args:
            truth, answer: as `needs` says.
            weight: how often each row counts, shape (n,), none below 0; None for once each.

        Returns:
            A number; nan where it is undefined, such as a recall where nothing is positive, and where anything in truth
            or answer is not finite.

        Raises:
            UsageError: truth and answer are not what `needs` says.
        """
        import numpy as np

        weighted = self.weighted(truth, answer)
        weights = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=float)
        if weights.shape != (len(truth),) or not (weights >= 0).all():
            raise UsageError(f"{self.name} takes one weight for each of the {len(truth)} rows, and none below 0.")
        return float(weighted(weights[None, :])[0])

    def weighted(self, truth: Array, answer: Array) -> Weighted:
        """The measure as a function of weights: shape (some, n) gives values of shape (some,).

        Raises:
            UsageError: truth and answer are not what `needs` says.
        """
        import numpy as np

        truth, answer = _checked(self, np.asarray(truth), np.asarray(answer))
        if not len(truth) or not (_finite(truth) and _finite(answer)):
            return lambda weights: np.full(len(weights), np.nan)
        with np.errstate(all="ignore"):
            evaluate = self.prepare(truth, answer)

        def values(weights: Array) -> Array:
            with np.errstate(all="ignore"):  # squares of huge numbers
                return evaluate(weights)

        return values


def _checked(measure: Measure, truth: Array, answer: Array) -> tuple[Array, Array]:
    """Truth and answer as arrays that the measure can take."""
    several = answer.ndim == 2 and measure.name in OF_CLASSES
    if truth.ndim != 1 or len(answer) != len(truth) or not (answer.ndim == 1 or several):
        found = f"the truth has shape {truth.shape}, the answers {answer.shape}"
        raise UsageError(f"{measure.name} takes one answer for each row: {found}.")
    if measure.needs == "labels":
        either = measure.name in OF_LABELS
        return (truth, answer) if either else (_positives(measure, truth), _positives(measure, answer))
    if measure.needs == "values":
        return _numbers(measure, truth).astype(float), _numbers(measure, answer).astype(float)
    scores = _numbers(measure, answer)
    if measure.name in OF_PROBABILITIES and ((scores < 0) | (scores > 1)).any():
        raise UsageError(f"{measure.name} takes probabilities, but there are scores below 0 or above 1.")
    return (_codes(measure, truth, scores.shape[1]) if several else _positives(measure, truth)), scores


def _positives(measure: Measure, values: Array) -> Array:
    if values.dtype != bool:
        raise UsageError(
            f"{measure.name} is about one class against the rest: it takes booleans, not {values.dtype}; compare the "
            "labels with the positive class."
        )
    return values


def _numbers(measure: Measure, values: Array) -> Array:
    """Numbers in floating point, in the precision that they have."""
    import numpy as np

    if values.dtype.kind == "f":
        return values
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{measure.name} takes numbers, and there is something else ({error}).") from error


def _codes(measure: Measure, values: Array, classes: int) -> Array:
    import numpy as np

    if values.dtype.kind not in "iub" or ((values < 0) | (values >= classes)).any():
        raise UsageError(
            f"{measure.name} of {classes} classes takes the number of each row's class, from 0 on, as truth."
        )
    return values.astype(np.intp)


def _finite(values: Array) -> bool:
    import numpy as np

    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def summed(terms: Terms, of: Callable[..., Array]) -> Callable[[Array, Array], Weighted]:
    """How to prepare a measure that is made of sums over the rows.

    Args:
        terms: truth and answer -> what is summed, each of shape (n,).
        of: those sums, each of shape (some,) -> values.
    """

    def prepare(truth: Array, answer: Array) -> Weighted:
        import numpy as np

        columns = np.stack([np.asarray(term, dtype=float) for term in terms(truth, answer)], axis=1)
        return lambda weights: of(*(weights @ columns).T)

    return prepare


def averaged(rows: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Weighted]:
    """How to prepare a measure that is the mean of a value for each row, such as a cost."""
    return summed(lambda truth, answer: (rows(truth, answer), _every(truth)), ratio)


def _every(truth: Array) -> Array:
    import numpy as np

    return np.ones(len(truth), dtype=bool)


def _same(truth: Array, answer: Array) -> tuple[Array, Array]:
    import numpy as np

    try:
        return np.asarray(truth == answer, dtype=bool), _every(truth)
    except TypeError as error:  # what pandas.NA says to a comparison
        raise UsageError("accuracy takes labels, and some are missing: drop those rows.") from error


def _log_losses(truth: Array, scores: Array) -> Array:
    """Probabilities are kept their precision's epsilon away from 0 and 1, as scikit-learn does."""
    import numpy as np

    epsilon = np.finfo(scores.dtype).eps
    kept = np.clip(scores, epsilon, 1 - epsilon).astype(float)
    of_truth = np.where(truth, kept, 1 - kept) if kept.ndim == 1 else kept[np.arange(len(truth)), truth]
    found: Array = -np.log(of_truth)
    return found


def _areas(truth: Array, scores: Array) -> Weighted:
    return roc_auc(truth, scores) if scores.ndim == 1 else roc_auc_of_classes(truth, scores)


def _squares(truth: Array, answer: Array) -> Array:
    found: Array = (answer - truth.astype(float)) ** 2
    return found


def _distances(truth: Array, answer: Array) -> Array:
    found: Array = abs(answer - truth)
    return found


def _percentages(truth: Array, answer: Array) -> Array:
    import numpy as np

    found: Array = abs(answer - truth) / np.maximum(abs(truth), np.finfo(float).eps)
    return found


def _determination(truth: Array, answer: Array) -> tuple[Array, ...]:
    import numpy as np

    centred = truth - np.median(truth)  # sums of squares of numbers far from 0 would lose their digits
    return _squares(truth, answer), centred, centred**2, _every(truth)


def _explained(residual: Array, centred: Array, squares: Array, rows: Array) -> Array:
    import numpy as np

    spread = squares - centred * ratio(centred, rows)
    return 1 - ratio(residual, np.where(spread > 1e-12 * squares, spread, 0.0))


def _root(part: Array, whole: Array) -> Array:
    found: Array = ratio(part, whole) ** 0.5
    return found


def _share(name: str, better: Better, rate: Terms) -> Measure:
    """A measure that is a share of rows."""

    def terms(truth: Array, answer: Array) -> tuple[Array, ...]:
        counted, among = rate(truth, answer)
        return counted & among, among

    return Measure(name=name, needs="labels", better=better, prepare=summed(terms, ratio), rate=rate)


def _made(name: str, needs: Needs, better: Better, prepare: Callable[[Array, Array], Weighted]) -> Measure:
    return Measure(name=name, needs=needs, better=better, prepare=prepare)


_ALL = (
    _share("accuracy", "higher", _same),
    _made("balanced_accuracy", "labels", "higher", mean_recall),
    _share("precision", "higher", lambda truth, answer: (truth, answer)),
    _share("recall", "higher", lambda truth, answer: (answer, truth)),
    _share("true_positive_rate", "higher", lambda truth, answer: (answer, truth)),
    _share("true_negative_rate", "higher", lambda truth, answer: (~answer, ~truth)),
    _share("false_positive_rate", "lower", lambda truth, answer: (answer, ~truth)),
    _share("false_negative_rate", "lower", lambda truth, answer: (~answer, truth)),
    _share("selection_rate", "higher", lambda truth, answer: (answer, _every(truth))),
    _share("base_rate", "higher", lambda truth, answer: (truth, _every(truth))),
    _made(
        "f1",
        "labels",
        "higher",
        summed(
            lambda truth, answer: (truth & answer, truth, answer), lambda hits, real, said: ratio(2 * hits, real + said)
        ),
    ),
    _made("roc_auc", "scores", "higher", _areas),
    _made("average_precision", "scores", "higher", average_precision),
    _made("log_loss", "scores", "lower", averaged(_log_losses)),
    _made("brier_score", "scores", "lower", averaged(_squares)),
    _made("rmse", "values", "lower", summed(lambda truth, answer: (_squares(truth, answer), _every(truth)), _root)),
    _made("mae", "values", "lower", averaged(_distances)),
    _made("mse", "values", "lower", averaged(_squares)),
    _made("mape", "values", "lower", averaged(_percentages)),
    _made("r2", "values", "higher", summed(_determination, _explained)),
    _made("median_absolute_error", "values", "lower", lambda truth, answer: median(_distances(truth, answer))),
)

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _ALL}
"""Name -> measure."""


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
