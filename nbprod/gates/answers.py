"""What a model answers to the labelled rows of a dataset, in the form that a measure takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbprod.errors import NbprodError, UsageError, nearest
from nbprod.gates.contender import Contender
from nbprod.gates.words import label_name, number, several
from nbprod.stats.measures import OF_CLASSES, OF_LABELS, Measure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

Form = Literal["labels", "codes", "positives", "scores", "probabilities", "values"]
"""``labels`` as they are, ``codes`` that are equal where labels are, bool ``positives`` and their ``scores``, the
``probabilities`` of all classes in the order of the classes, or ``values``.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The rows of a dataset whose label is known.

    Attributes:
        labels: in the order of the rows.
        dropped: how many rows had no label.
    """

    dataset: str
    rows: pd.DataFrame
    labels: tuple[Any, ...]
    dropped: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reason must add."""
        if not self.dropped:
            return ()
        rows = "1 row without a label was" if self.dropped == 1 else f"{self.dropped:,} rows without a label were"
        return (f"{rows} left out",)

    @property
    def details(self) -> dict[str, Any]:
        """What a result shows beside its reason."""
        return {"rows": len(self.labels), "rows_without_label": self.dropped}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A model's answers beside the truth, one a row.

    Attributes:
        problem: why there are none: what the model raised, or what is wrong with its answers; empty if all is well.
        notes: what a reason must add.
    """

    truth: Array
    answer: Array
    problem: str = ""
    notes: tuple[str, ...] = ()


def labelled(contender: Contender, dataset: str) -> Labelled:
    """The rows of a dataset that have a label.

    Raises:
        UsageError: the entry names no target or no such dataset, or the dataset has no such column.
        ArtifactError: the dataset's bytes are not to be had.
    """
    target, rows = contender.target, contender.rows(dataset)
    if target not in rows.columns:
        hint = nearest(target, map(str, rows.columns))
        raise UsageError(f"the dataset '{dataset}' of {contender.ref} has no column '{target}' to compare with.{hint}")
    known = rows[rows[target].notna()]
    return Labelled(dataset=dataset, rows=known, labels=tuple(known[target].tolist()), dropped=len(rows) - len(known))


def form_of(measure: Measure, contender: Contender, *, positive: Any = None) -> Form:
    """The form in which a measure takes the answers of a model: of positives, unless it can do with all classes."""
    if measure.needs == "labels":
        return "codes" if measure.name in OF_LABELS else "positives"
    if measure.name in OF_CLASSES and positive is None and len(classes_of(contender)) > 2:
        return "probabilities"
    return measure.needs


def answers(contender: Contender, known: Labelled, form: Form, *, positive: Any = None) -> Answers:
    """Ask a model about labelled rows.

    A model that raises, or gives answers that cannot be used, is no error here: it is the answers' `problem`.

    Args:
        positive: the class that counts as positive; None for the last of a binary classifier's.

    Raises:
        UsageError: a model of this kind has no answers of that form.
        ArtifactError: the rows lack columns, or the model's bytes are not to be had.
    """
    try:
        if form == "values":
            return _values(contender, known)
        if form in ("labels", "codes"):
            return _labels(contender, known, form)
        if form == "probabilities":
            return _probabilities(contender, known)
        return _positives(contender, known, form, positive)
    except NbprodError:
        raise
    except Exception as error:  # whatever a model raises is the result
        return failing(f"{contender.ref} fails on the rows of '{known.dataset}' ({raised(error)})")


def raised(error: Exception) -> str:
    """An exception in a phrase."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def failing(problem: str) -> Answers:
    """No answers, and why."""
    import numpy as np

    return Answers(truth=np.empty(0), answer=np.empty(0), problem=problem)


def _predicted(contender: Contender, known: Labelled) -> Array:
    """One answer a row; a single column counts as that."""
    found = contender.predictions(known.rows)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.shape != (len(known.labels),):
        raise ValueError(f"it answers {len(known.labels)} rows in the shape {found.shape}")
    return found


def _values(contender: Contender, known: Labelled) -> Answers:
    import numpy as np

    truth = _numbers(known.labels)
    if truth is None:
        raise UsageError(
            f"the column '{contender.target}' of '{known.dataset}' holds {label_name(known.labels[0])!r}, which is no "
            f"number: judge {contender.ref} by a metric of labels, such as accuracy."
        )
    answer = _numbers(_predicted(contender, known).tolist())
    if answer is None:
        raise UsageError(f"{contender.ref} answers with labels: judge it by a metric of labels, such as accuracy.")
    strange = int((~np.isfinite(answer)).sum())
    if strange:
        return failing(f"{contender.ref} answers {strange} of {len(answer)} rows with what is not a number")
    return Answers(truth=truth, answer=answer, notes=known.notes)


def _numbers(values: Sequence[Any]) -> Array | None:
    import numpy as np

    if any(isinstance(value, (str, bytes)) for value in values):
        return None  # NumPy would read "1" as a number
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        return None


def _labels(contender: Contender, known: Labelled, form: Form) -> Answers:
    import numpy as np

    _refuse_measurements(contender, known.labels)
    notes, problem = _strangers(contender, known)
    if problem:
        return failing(problem)
    answer = _predicted(contender, known).tolist()
    if form == "labels":
        return Answers(truth=_objects(known.labels), answer=_objects(answer), notes=notes)
    codes: dict[Any, int] = {}
    first, second = ([codes.setdefault(label, len(codes)) for label in side] for side in (known.labels, answer))
    return Answers(truth=np.asarray(first, dtype=int), answer=np.asarray(second, dtype=int), notes=notes)


def _objects(labels: Sequence[Any]) -> Array:
    import numpy as np

    made = np.empty(len(labels), dtype=object)
    made[:] = labels
    return made


def _positives(contender: Contender, known: Labelled, form: Form, positive: Any) -> Answers:
    import numpy as np

    _refuse_measurements(contender, known.labels)
    chosen = positive_class(contender, positive, labels=known.labels)
    notes, problem = _strangers(contender, known)
    if problem:
        return failing(problem)
    truth = np.array([label == chosen for label in known.labels], dtype=bool)
    if form == "positives":
        answer = np.array([label == chosen for label in _predicted(contender, known).tolist()], dtype=bool)
        return Answers(truth=truth, answer=answer, notes=notes)
    found, problem = _scored(contender, known)
    return failing(problem) if problem else Answers(truth=truth, answer=found[chosen], notes=notes)


def _probabilities(contender: Contender, known: Labelled) -> Answers:
    import numpy as np

    found, problem = _scored(contender, known)
    codes = {label: code for code, label in enumerate(_ordered(found))}
    if strange := sorted({label_name(label) for label in known.labels if label not in codes}):
        problem = problem or f"{contender.ref} has no probability for the labels {several(strange)}"
    if problem:
        return failing(problem)
    truth = np.array([codes[label] for label in known.labels], dtype=int)
    return Answers(truth=truth, answer=np.column_stack([found[label] for label in codes]), notes=known.notes)


def _scored(contender: Contender, known: Labelled) -> tuple[dict[Any, Array], str]:
    """Class -> the probability of each row, and what is wrong with them."""
    import numpy as np

    classes, scores = classes_of(contender), np.asarray(contender.scores(known.rows), dtype=float)
    if scores.shape != (len(known.labels), len(classes)):
        raise ValueError(f"it gives probabilities of {len(classes)} classes in the shape {scores.shape}")
    strange = int((~((scores >= 0) & (scores <= 1)).all(axis=1)).sum())
    problem = f"{contender.ref} gives {strange} of {len(scores)} rows probabilities that are not within 0 and 1"
    return dict(zip(classes, scores.T, strict=True)), problem if strange else ""


def classes_of(contender: Contender) -> list[Any]:
    """The classes of a classifier as plain Python values, in the order of its scores; empty where it names none."""
    scalars = (label.item() if getattr(label, "ndim", None) == 0 else label for label in contender.classes)
    return list(scalars)


def positive_class(contender: Contender, positive: Any, *, labels: Iterable[Any]) -> Any:
    """The class that counts as positive: the one that is named, else the last of two.

    Args:
        positive: as the YAML says it; text is also taken for a class that reads like it, such as ``"1"`` for 1.
        labels: those of the rows; they stand for the classes of a model that names none.

    Raises:
        UsageError: there is no such class, or there are more or fewer than two and none was named.
    """
    known = classes_of(contender) or _ordered(labels)
    if positive is not None:
        for label in known:
            if label == positive or label_name(label) == label_name(positive):
                return label
        hint = nearest(label_name(positive), map(label_name, known))
        raise UsageError(f"{contender.ref} knows no class '{label_name(positive)}' that could be positive.{hint}")
    if len(known) != 2:
        count = "1 class" if len(known) == 1 else f"{len(known)} classes"
        raise UsageError(
            f"{contender.ref} knows {count} ({several(map(label_name, known))}): say with `positive` which is the "
            "positive one, or take a metric of all classes, such as accuracy."
        )
    return known[-1]


def _ordered(labels: Iterable[Any]) -> list[Any]:
    found = set(labels)
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)


def _refuse_measurements(contender: Contender, labels: Iterable[Any]) -> None:
    """Labels with a fraction are no classes.

    Raises:
        UsageError: there are some, and the model names no classes.
    """
    if contender.classes:
        return
    for label in labels:
        if isinstance(label, float) and not label.is_integer():
            raise UsageError(
                f"{contender.ref} is no classifier, since '{contender.target}' holds {number(label)}: judge it by a "
                "metric of values, such as rmse or mae."
            )


def _strangers(contender: Contender, known: Labelled) -> tuple[tuple[str, ...], str]:
    """Labels that a classifier does not know: what a reason must add, and the problem if it knows none of them."""
    classes = classes_of(contender)
    strange = set(known.labels) - set(classes) if classes else set()
    if not strange:
        return known.notes, ""
    names = several(sorted(map(label_name, strange)))
    if strange == set(known.labels):
        there = several(map(label_name, classes))
        return (), f"the labels of '{known.dataset}' are {names}, and {contender.ref} knows only {there}"
    return (*known.notes, f"{contender.ref} does not know the labels {names}, so it is never right on them"), ""
