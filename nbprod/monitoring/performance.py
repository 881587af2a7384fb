"""Performance: how well answers fit the truth, in a window or on the test rows, with intervals and by group."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbprod.errors import UsageError
from nbprod.monitoring.arrays import dictionary, plain
from nbprod.monitoring.columns import LEAST, text_of
from nbprod.monitoring.profile import Calibration, Measured, Performance
from nbprod.stats.groups import GroupValue, by_group
from nbprod.stats.intervals import bootstrap, wilson
from nbprod.stats.measures import MEASURES, OF_LABELS, Measure

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

RESAMPLES = 200
RESAMPLED = 20_000
"""Of more rows than this the first are resampled, and the interval is made narrower as more rows make it."""

DEFAULT: Mapping[str, tuple[str, ...]] = {
    "binary": ("accuracy", "roc_auc", "brier_score"),
    "classes": ("accuracy",),
    "values": ("mae", "rmse"),
}
"""Task -> what is measured beside the entry's metrics."""

FAIR: Mapping[str, tuple[str, ...]] = {
    "binary": ("selection_rate", "true_positive_rate"),
    "classes": ("accuracy",),
    "values": ("mae",),
}
WITHOUT_TRUTH = frozenset({"selection_rate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model answered, and what was true.

    Attributes:
        task: ``binary``, ``classes`` or ``values``.
        truth: as text, or numbers of a task of values; None where nothing is known, as of a row or of all.
        prediction: likewise.
        score: the probability of the positive class, or of the most probable one; None where there is none.
        groups: column -> the group of each row.
    """

    task: str
    positive: str
    prediction: Array
    truth: Array | None = None
    score: Array | None = None
    groups: dict[str, Array] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows."""
        return len(self.prediction)

    def known(self) -> Answers:
        """Only the rows whose truth is known."""
        import numpy as np

        if self.truth is None:
            return self.only(np.zeros(self.rows, dtype=bool))
        if self.truth.dtype.kind == "f":
            return self.only(np.isfinite(self.truth) & np.isfinite(self.prediction))
        return self.only(np.array([value is not None for value in self.truth], dtype=bool))

    def only(self, rows: Array) -> Answers:
        """Some of the rows."""
        return Answers(
            task=self.task,
            positive=self.positive,
            prediction=self.prediction[rows],
            truth=None if self.truth is None else self.truth[rows],
            score=None if self.score is None else self.score[rows],
            groups={name: values[rows] for name, values in self.groups.items()},
        )


def labels(values: Iterable[Any], task: str) -> Array:
    """Values as answers hold them: text, or numbers; what is missing is None or nan."""
    import numpy as np

    if task == "values":
        return np.array([_float(value) for value in values], dtype=float)
    made = [None if value is None or value != value else text_of(value) for value in values]
    found = np.empty(len(made), dtype=object)
    found[:] = made
    return found


def column_labels(values: pa.ChunkedArray, task: str) -> Array:
    """`labels` of a column, of which each different value is looked at once."""
    import pyarrow as pa

    if pa.types.is_nested(values.type) or pa.types.is_null(values.type):
        return labels(values.to_pylist(), task)
    encoded = dictionary(values)
    found: Array = labels(encoded.dictionary.to_pylist(), task)[plain(encoded.indices)]
    return found


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def sides(measure: Measure, answers: Answers) -> tuple[Array, Array] | None:
    """Truth and answer as a measure takes them; None where a model of this kind has none of that form."""
    import numpy as np

    truth = np.zeros(answers.rows) if answers.truth is None else answers.truth
    if measure.needs == "values":
        return (truth, answers.prediction) if answers.task == "values" else None
    if answers.task == "values":
        return None
    if measure.name in OF_LABELS:
        return truth, answers.prediction
    if answers.task != "binary":
        return None
    positive = truth == answers.positive
    if measure.needs == "labels":
        return positive, answers.prediction == answers.positive
    if answers.score is None:
        return None
    if len(answers.score) and not (np.isfinite(answers.score).all()):
        return None
    return positive, answers.score


def measured(name: str, answers: Answers, *, confidence: float = 0.95) -> Measured | None:
    """A metric with its interval: Wilson's of a share, else a bootstrap's; None where it is not defined.

    Args:
        answers: of rows whose truth is known.
    """
    measure = MEASURES[name]
    found = sides(measure, answers)
    if found is None or not answers.rows:
        return None
    try:
        value = measure(*found)
    except UsageError:  # scores that are no probabilities
        return None
    if math.isnan(value):
        return None
    return Measured(name=name, value=value, interval=_interval(measure, *found, confidence), rows=answers.rows)


def _interval(measure: Measure, truth: Array, answer: Array, confidence: float) -> tuple[float, float] | None:
    if measure.rate is not None:
        counted, among = measure.rate(truth, answer)
        return wilson(int((counted & among).sum()), int(among.sum()), confidence=confidence)
    some = slice(0, RESAMPLED)
    low, high = bootstrap(measure, truth[some], answer[some], resamples=RESAMPLES, confidence=confidence)
    if math.isnan(low):
        return None
    if len(truth) <= RESAMPLED:
        return low, high
    value, narrow = measure(truth, answer), math.sqrt(RESAMPLED / len(truth))
    half = (high - low) / 2 * narrow
    return value - half, value + half


def metrics_of(task: str, entry: Iterable[str]) -> list[str]:
    """The metrics that are followed: the entry's that can be computed from predictions, and what goes with the task."""
    return [name for name in dict.fromkeys([*entry, *DEFAULT[task]]) if name in MEASURES]


def grouped(
    answers: Answers, known: Answers, columns: Sequence[str], metrics: Sequence[str], *, min_rows: int
) -> dict[str, dict[str, tuple[GroupValue, ...]]]:
    """Column -> metric -> what it is in each group; groups of very few rows are not told.

    Args:
        known: those whose truth is known.
    """
    found: dict[str, dict[str, tuple[GroupValue, ...]]] = {}
    for column in columns:
        if column not in answers.groups:
            continue
        for name in metrics:
            chosen = answers if name in WITHOUT_TRUTH else known
            both = sides(MEASURES[name], chosen)
            if both is None or not chosen.rows:
                continue
            values = by_group(MEASURES[name], *both, chosen.groups[column], min_rows=min_rows)
            found.setdefault(column, {})[name] = tuple(value for value in values if value.rows >= LEAST)
    return found


def performance_of(
    answers: Answers,
    *,
    dataset: str,
    metrics: Iterable[str],
    fair: Sequence[str],
    columns: Sequence[str],
    min_rows: int = 50,
) -> Performance:
    """How well a model does on the test rows, as a profile keeps it.

    Args:
        fair: the metrics that are kept for each group.
    """
    known = answers.known()
    found = (measured(name, known) for name in metrics_of(answers.task, metrics))
    return Performance(
        dataset=dataset,
        task=answers.task,
        rows=known.rows,
        positive=answers.positive,
        metrics=tuple(item for item in found if item is not None),
        calibration=calibration_of(known),
        groups=grouped(answers, known, columns, fair, min_rows=min_rows),
    )


def calibration_of(answers: Answers, *, bins: int = 20, rows: int = 50) -> tuple[Calibration, ...]:
    """How often scores were right: the mean score and the share of positives, or of right answers, in bins of rows."""
    import numpy as np

    if answers.score is None or answers.truth is None or answers.rows < rows:
        return ()
    right = answers.truth == (answers.positive if answers.task == "binary" else answers.prediction)
    order = np.argsort(answers.score, kind="stable")
    parts = np.array_split(order, max(1, min(bins, answers.rows // rows)))
    return tuple(
        Calibration(score=float(answers.score[part].mean()), share=float(right[part].mean()), rows=len(part))
        for part in parts
    )
