"""The rows of an example that are kept, and the signature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from nbprod.flavors import import_mlflow
from nbprod.flavors.schema import EXAMPLE_ROWS, head, signature_of


def inputs(example: Any) -> list[dict[str, Any]]:
    import_mlflow()
    found: list[dict[str, Any]] = signature_of(example, np.array([1])).inputs.to_dict()
    return found


def test_of_a_table_the_first_rows_are_kept_without_their_index(table: pd.DataFrame) -> None:
    found = head(table)
    assert list(found.index) == list(range(EXAMPLE_ROWS))
    assert list(found["age"]) == list(table["age"].head(EXAMPLE_ROWS))
    assert list(table.index[:2]) == [100, 101]


@pytest.mark.parametrize("example", [np.zeros((9, 2)), csr_matrix(np.eye(9)), [0.0] * 9, pd.Series([1.0] * 9)])
def test_of_arrays_and_lists_the_first_rows_are_kept(example: Any) -> None:
    found = head(example)
    assert (found.shape[0] if hasattr(found, "shape") else len(found)) == EXAMPLE_ROWS


def test_an_example_that_has_no_rows_is_kept_whole() -> None:
    assert head({"text": "x"}) == {"text": "x"}


def test_a_table_of_another_library_becomes_one_of_pandas(table: pd.DataFrame) -> None:
    class Other:
        def to_pandas(self) -> pd.DataFrame:
            return table

    assert list(head(Other()).columns) == list(table.columns)
    assert [column["name"] for column in inputs(Other())] == list(table.columns)


def test_integers_stay_integers_and_only_columns_with_missing_values_are_optional(table: pd.DataFrame) -> None:
    assert inputs(table) == [
        {"type": "integer", "name": "age", "required": True},
        {"type": "double", "name": "income", "required": True},
        {"type": "double", "name": "hours", "required": False},
        {"type": "string", "name": "state", "required": True},
    ]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("int8", "integer"),
        ("int32", "integer"),
        ("uint16", "integer"),
        ("uint32", "long"),
        ("int64", "long"),
        ("Int64", "long"),
    ],
)
def test_every_integer_type_is_declared_without_a_warning(dtype: Any, expected: str) -> None:
    (column,) = inputs(pd.DataFrame({"n": [1, 2]}).astype(dtype))
    assert (column["type"], column["required"]) == (expected, True)


def test_integers_of_which_some_are_missing_are_declared_as_floats() -> None:
    table = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "m": pd.array([1, 2], dtype="Int64")})
    assert inputs(table) == [
        {"type": "double", "name": "n", "required": False},
        {"type": "long", "name": "m", "required": True},
    ]


def test_an_array_is_a_tensor() -> None:
    (tensor,) = inputs(np.zeros((3, 2)))
    assert tensor["tensor-spec"] == {"dtype": "float64", "shape": (-1, 2)}


def test_a_list_of_integers_is_a_column_of_integers() -> None:
    assert inputs([1, 2]) == [{"type": "long", "required": True}]


def test_a_column_as_the_answer_is_a_column_of_the_signature() -> None:
    import_mlflow()
    found = signature_of(np.zeros((2, 1)), pd.Series([1, 2], name="label")).outputs.to_dict()
    assert found == [{"type": "long", "name": "label", "required": True}]
