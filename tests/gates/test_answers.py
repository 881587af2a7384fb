"""What models answer, in the form that a measure takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.errors import ArtifactError, UsageError
from nbprod.gates.answers import Form, answers, form_of, labelled, positive_class
from nbprod.stats.measures import MEASURES, measure
from tests.gates.answering import Broken, Classifier, Says, judged_rows, made
from tests.gates.made import TARGET


def asked(model: Any, rows: pd.DataFrame, form: Form, **options: Any) -> Any:
    one = made(model, rows)
    return answers(one, labelled(one, "test"), form, **options)


def test_rows_without_a_label_are_left_out_and_told() -> None:
    known = labelled(made(Says(), judged_rows([1.0, None, 0.0], [1, 1, 0])), "test")
    assert known.labels == (1.0, 0.0)
    assert known.rows["said"].tolist() == [1, 0]
    assert known.notes == ("1 row without a label was left out",)
    assert known.details == {"rows": 2, "rows_without_label": 1}


def test_a_dataset_without_the_target_is_refused_with_the_nearest_column() -> None:
    one = made(Says(), pd.DataFrame({"said": [1], "lefd": [1]}))
    with pytest.raises(
        UsageError, match=r"'test' of churn/1 has no column 'left' to compare with. Did you mean 'lefd'"
    ):
        labelled(one, "test")


def test_text_labels_are_compared_as_they_are() -> None:
    found = asked(Classifier("no", "yes"), judged_rows(["yes", "no", "yes"], ["yes", "yes", "no"]), "codes")
    assert (found.truth == found.answer).tolist() == [True, False, False]


def test_whole_numbers_that_gaps_made_floats_are_the_same_labels() -> None:
    found = asked(Classifier(0, 1), judged_rows([1.0, None, 0.0], [1, 1, 1]), "codes")
    assert (found.truth == found.answer).tolist() == [True, False]


def test_the_last_of_two_classes_is_positive() -> None:
    found = asked(Classifier("no", "yes"), judged_rows(["yes", "no"], ["no", "yes"]), "positives")
    assert found.truth.tolist() == [True, False]
    assert found.answer.tolist() == [False, True]


def test_another_class_can_be_positive() -> None:
    found = asked(Classifier("a", "b", "c"), judged_rows(["a", "b", "c"], ["a", "a", "b"]), "positives", positive="b")
    assert found.truth.tolist() == [False, True, False]
    assert found.answer.tolist() == [False, False, True]


def test_scores_are_those_of_the_positive_class() -> None:
    rows = judged_rows([1, 0], [1, 0], score=[0.9, 0.2])
    assert asked(Classifier(0, 1), rows, "scores").answer.tolist() == [0.9, 0.2]
    assert asked(Classifier(0, 1), rows, "scores", positive=0).answer.tolist() == pytest.approx([0.1, 0.8])


def test_probabilities_of_all_classes_are_in_one_order_whatever_that_of_the_model() -> None:
    rows = judged_rows(["a", "c"], ["a", "c"], a=[0.7, 0.1], b=[0.2, 0.1], c=[0.1, 0.8])
    one = asked(Classifier("a", "b", "c", scores=["a", "b", "c"]), rows, "probabilities")
    other = asked(Classifier("c", "a", "b", scores=["c", "a", "b"]), rows, "probabilities")
    assert one.truth.tolist() == other.truth.tolist() == [0, 2]
    assert one.answer.tolist() == other.answer.tolist() == [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]


def test_values_are_numbers() -> None:
    assert asked(Says(), judged_rows([1, 2], [1.5, 2.5]), "values").answer.tolist() == [1.5, 2.5]


def test_a_measure_is_asked_in_the_form_that_it_takes() -> None:
    rows = judged_rows(["a"], ["a"])
    two, three = made(Classifier("a", "b"), rows), made(Classifier("a", "b", "c"), rows)
    assert form_of(measure("accuracy"), three) == "codes"
    assert form_of(measure("recall"), two) == "positives"
    assert form_of(measure("log_loss"), two) == "scores"
    assert form_of(measure("log_loss"), three) == "probabilities"
    assert form_of(measure("log_loss"), three, positive="b") == "scores"
    assert form_of(measure("brier_score"), three) == "scores"
    assert form_of(measure("rmse"), three) == "values"


@pytest.mark.parametrize(
    ("model", "rows", "form", "said"),
    [
        (Broken(0, 1), judged_rows([0, 1], [0, 1]), "codes", r"fails on the rows of 'test' \(ValueError: Input X cont"),
        (Says(), judged_rows([1.0, 2.0], [1.0, float("nan")]), "values", "answers 1 of 2 rows with what is not a numb"),
        (Classifier(0, 1), judged_rows(["no", "yes"], [0, 1]), "codes", "labels of 'test' are no, yes, and churn/1 kn"),
        (Classifier(0, 1), judged_rows([0, 1], [0, 1], score=[0.5, 1.5]), "scores", "1 of 2 rows probabilities that "),
        (
            Classifier("a", "b", "c", scores=("a", "b", "c")),
            judged_rows(["d", "a"], ["a", "a"], a=[1, 1], b=[0, 0], c=[0, 0]),
            "probabilities",
            "has no probability for the labels d",
        ),
        (
            Classifier("a", "b", "c", scores=("a", "b")),
            judged_rows(["a"], ["a"], a=[1], b=[0]),
            "probabilities",
            r"probabilities of 3 classes in the shape \(1, 2\)",
        ),
    ],
)
def test_a_bad_model_is_a_problem_and_no_error(model: Any, rows: pd.DataFrame, form: Form, said: str) -> None:
    found = asked(model, rows, form)
    assert len(found.answer) == 0
    assert "\n" not in found.problem
    with pytest.raises(ValueError, match=said):
        raise ValueError(found.problem)


def test_a_model_with_too_many_answers_is_a_problem() -> None:
    class Twice(Says):
        def predict(self, rows: pd.DataFrame) -> Any:
            return np.zeros(2 * len(rows))

    assert "it answers 2 rows in the shape (4,)" in asked(Twice(), judged_rows([1, 0], [1, 0]), "values").problem


def test_a_single_column_counts_as_one_answer_a_row() -> None:
    class Column(Says):
        def predict(self, rows: pd.DataFrame) -> Any:
            return rows[["said"]]

    assert asked(Column(), judged_rows([1, 0], [1, 2]), "values").answer.tolist() == [1, 2]


def test_labels_that_the_model_never_saw_are_told() -> None:
    found = asked(Classifier("a", "b"), judged_rows(["a", "new"], ["a", "b"]), "codes")
    assert found.notes == ("churn/1 does not know the labels new, so it is never right on them",)
    assert (found.truth == found.answer).tolist() == [True, False]


@pytest.mark.parametrize(
    ("model", "truth", "form", "said"),
    [
        (
            Says(),
            [1.5, 2.0],
            "codes",
            "churn/1 is no classifier, since 'left' holds 1.5: judge it by a metric of values",
        ),
        (Says(), [1.5, 2.0], "positives", "churn/1 is no classifier"),
        (Says(), [0, 1], "scores", "churn/1 gives no probabilities"),
        (Says(), ["a", "b"], "values", "the column 'left' of 'test' holds 'a', which is no number"),
        (
            Classifier("a", "b", "c"),
            ["a", "b"],
            "positives",
            r"churn/1 knows 3 classes \(a, b, c\): say with `positive`",
        ),
        (Says(), [1, 1], "positives", r"churn/1 knows 1 class \(1\)"),
    ],
)
def test_a_question_that_does_not_fit_the_model_is_refused(model: Any, truth: Any, form: Form, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        asked(model, judged_rows(truth, truth), form)


def test_a_classifier_of_text_has_no_values() -> None:
    with pytest.raises(UsageError, match="answers with labels"):
        asked(Classifier("a", "b"), judged_rows([1, 0], ["a", "b"]), "values")


def test_columns_that_are_missing_are_no_problem_of_the_model() -> None:
    one = made(Says(), judged_rows([1, 0], [1, 0]))
    del one.rows("test")["said"]
    with pytest.raises(ArtifactError, match="said"):
        answers(one, labelled(one, "test"), "values")


@pytest.mark.parametrize(("asked_for", "found"), [(1, 1), ("1", 1), (True, 1), (0, 0), ("0", 0)], ids=repr)
def test_the_positive_class_is_found_by_its_value_or_its_text(asked_for: Any, found: int) -> None:
    one = made(Classifier(0, 1), judged_rows([0], [0]))
    assert positive_class(one, asked_for, labels=[]) == found


def test_a_positive_class_that_there_is_not_is_refused_with_the_nearest() -> None:
    one = made(Classifier("leaves", "stays"), judged_rows(["stays"], ["stays"]))
    with pytest.raises(UsageError, match=r"knows no class 'leave' that could be positive. Did you mean 'leaves'\?"):
        positive_class(one, "leave", labels=[])


def test_the_labels_stand_for_the_classes_of_a_model_that_names_none() -> None:
    found = asked(Says(), judged_rows([1, 0, 1], [1, 1, 0]), "positives")
    assert found.truth.tolist() == [True, False, True]
    assert found.answer.tolist() == [True, True, False]


LABELS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None)
@given(st.data(), LABELS)
def test_every_measure_of_a_classifier_takes_what_it_is_given(data: st.DataObject, truth: list[str]) -> None:
    said = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=len(truth), max_size=len(truth)))
    scores = {name: [float(label == name) for label in said] for name in "abc"}
    one = made(Classifier("a", "b", "c", scores=list("abc")), judged_rows(truth, said, **scores))
    known = labelled(one, "test")
    for name, measured in MEASURES.items():
        if measured.needs == "values":
            continue
        positive = None if form_of(measured, one) in ("codes", "probabilities") else "b"
        found = answers(one, known, form_of(measured, one, positive=positive), positive=positive)
        value = measured(found.truth, found.answer)
        assert not value < 0, name
        if name == "accuracy":
            assert value == pytest.approx(np.mean([a == b for a, b in zip(truth, said, strict=True)]))
    assert TARGET in known.rows
