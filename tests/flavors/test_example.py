"""A stored example becomes rows of the signature's types, as MLflow would give them to the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbprod.errors import UsageError
from nbprod.flavors.example import example_of


def model(example: Any, *columns: tuple[str, str]) -> dict[str, Any]:
    return {"example": example, "signature": {"inputs": [{"name": name, "type": kind} for name, kind in columns]}}


def test_columns_have_the_types_of_the_signature() -> None:
    columns = (("a", "long"), ("b", "double"), ("c", "boolean"), ("d", "string"), ("e", "datetime"), ("f", "float"))
    data = [[1, 2, True, "x", "2026-01-01T00:00:00", 0.5], [2, None, False, None, None, 1]]
    table = example_of(model({"columns": [*"abcdef"], "data": data}, *columns))
    kinds = [str(kind) for kind in table.dtypes]
    assert kinds[:3] == ["int64", "float64", "bool"]
    assert kinds[4].startswith("datetime64")
    assert kinds[5] == "float32"
    assert np.isnan(table["b"][1])


def test_a_whole_number_that_is_missing_stays_missing() -> None:
    table = example_of(model({"columns": ["a"], "data": [[1], [None]]}, ("a", "long")))
    assert table["a"].isna().tolist() == [False, True]


@pytest.mark.parametrize("example", [[[1, 2]], {"inputs": [[1, 2]]}, {"data": [[1, 2]]}])
def test_arrays_have_the_type_of_the_signature(example: Any) -> None:
    spec = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
    found = example_of({"example": example, "signature": {"inputs": spec}})
    assert (found.dtype, found.tolist()) == (np.dtype("float32"), [[1.0, 2.0]])


def test_a_model_without_a_signature_takes_the_rows_as_they_are() -> None:
    assert isinstance(example_of({"example": {"columns": ["a"], "data": [[1]]}, "signature": None}), pd.DataFrame)


@pytest.mark.parametrize("example", [None, [], "text", {"inputs": {"a": [1]}}])
def test_what_is_neither_a_table_nor_an_array_is_refused(example: Any) -> None:
    with pytest.raises(UsageError, match="no example"):
        example_of({"example": example, "signature": None})
