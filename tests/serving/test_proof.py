"""The proof finds models for which arrays, or batches, would change answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbprod.serving.frames import Shaper
from nbprod.serving.proof import Proof, made_rows, prove
from nbprod.serving.signature import SCALARS, Column, Signature
from tests.serving import asgi

COLUMNS = Signature(columns=tuple(Column(name=name, type="double", detail={}) for name in "ab"))


def proof(predict: Any) -> Proof:
    return prove([predict], Shaper(COLUMNS), [(1.0, 2.0), (3.0, 4.0)])


def test_a_plain_model_is_proven() -> None:
    found = asgi.numbers().proof
    assert (found.arrays, found.batches, found.why) == (True, True, "")


def test_a_model_that_selects_columns_by_name_gets_tables_and_batches() -> None:
    found = asgi.mixed().proof
    assert (found.arrays, found.batches) == (False, True)
    assert "does not take arrays" in found.why


def test_a_model_that_treats_tables_otherwise_gets_tables() -> None:
    found = proof(lambda rows: np.asarray(rows)[:, 0] + isinstance(rows, pd.DataFrame))
    assert (found.arrays, found.batches) == (False, True)
    assert "arrays get other answers" in found.why


def test_a_text_that_is_missing_is_the_same_alone_as_beside_others() -> None:
    shaper = Shaper(Signature(columns=(Column(name="a", type="string", detail={}, required=False),)))
    alone, beside = shaper.frame([(None,)]), shaper.frame([("x",), (None,)])
    assert alone["a"].dtype == beside["a"].dtype
    assert repr(alone["a"][0]) == repr(beside["a"][1])

    def predict(table: Any) -> Any:  # a OneHotEncoder, too, tells None from NaN
        return np.array([str(value) for value in table["a"]])

    assert prove([predict], shaper, [("x",), (None,)]).batches


def test_a_model_that_compares_rows_with_each_other_is_asked_alone() -> None:
    found = proof(lambda rows: np.asarray(rows)[:, 0] - np.asarray(rows)[:, 0].mean())
    assert (found.arrays, found.batches) == (True, False)
    assert "other answers together" in found.why


def test_a_model_that_answers_otherwise_each_time_is_not_proven() -> None:
    count = iter(range(10_000))
    found = proof(lambda rows: np.full(len(rows), next(count)))
    assert (found.arrays, found.batches) == (False, False)


def test_a_model_that_always_fails_says_so() -> None:
    def broken(rows: Any) -> Any:
        raise RuntimeError

    assert proof(broken).rows == 0


@pytest.mark.parametrize("kind", SCALARS)
@pytest.mark.parametrize("required", [True, False])
def test_rows_are_made_for_every_type_and_hold_nulls_only_where_they_may(kind: str, required: bool) -> None:
    signature = Signature(columns=(Column(name="x", type=kind, required=required, detail={}),))
    rows = made_rows(signature, [])
    assert (None in [row[0] for row in rows]) is not required
    frame = Shaper(signature).frame(rows)
    assert len(frame) == len(rows)
    assert rows == made_rows(signature, [])
