"""The rows of an example, and the signature that an example and the answer to it give."""

from __future__ import annotations

from typing import Any

EXAMPLE_ROWS = 5
"""So many rows of an example are kept: enough to see the form, few enough not to publish the data."""


def head(example: Any) -> Any:
    """The first rows of an example, counted from zero: a table, a column, an array, a sparse matrix or a list."""
    if hasattr(example, "to_pandas"):
        example = example.to_pandas()
    if hasattr(example, "iloc"):
        rows = example.iloc[:EXAMPLE_ROWS].reset_index(drop=True)
        if hasattr(rows, "columns"):
            rows.columns = rows.columns.astype(
                object
            )  # MLflow compares names in a way that pandas 3 deprecates for text
        return rows
    if hasattr(example, "shape") or isinstance(example, list):
        return example[:EXAMPLE_ROWS]
    return example


def signature_of(example: Any, answer: Any) -> Any:
    """MLflow's signature for rows like ``example`` and answers like ``answer``.

    Columns of tables are required where no value is missing. Integer columns are declared as such on purpose: MLflow
    takes floats for them only if nothing is lost, and refuses integers where floats are declared. Those with missing
    values (``Int64``) are declared as floats, since JSON and MLflow have no integer that is missing.
    """
    from mlflow.models import ModelSignature

    if hasattr(example, "to_pandas"):
        example = example.to_pandas()
    return ModelSignature(inputs=_schema(example), outputs=_schema(answer))


def _schema(data: Any) -> Any:
    import pandas
    from mlflow.models import infer_signature
    from mlflow.types import ColSpec, DataType, Schema

    if isinstance(data, pandas.Series):
        data = data.to_frame("value" if data.name is None else data.name)
    if isinstance(data, list) and data and all(type(value) is int for value in data):
        return Schema([ColSpec(DataType.long)])
    if not isinstance(data, pandas.DataFrame):
        return infer_signature(data).inputs
    integers = {
        name: DataType.integer if dtype.itemsize < 4 or dtype.name == "int32" else DataType.long
        for name, dtype in data.dtypes.items()
        if getattr(dtype, "kind", "") in "iu"
    }
    gaps = {name for name in integers if data[name].isna().any()}
    integers |= dict.fromkeys(gaps, DataType.double)
    others = data.drop(columns=list(integers))
    inferred = (
        dict(zip(others.columns, infer_signature(others).inputs.inputs, strict=True)) if len(others.columns) else {}
    )
    columns = [
        inferred[name] if name in inferred else ColSpec(integers[name], name=name, required=name not in gaps)
        for name in data.columns
    ]
    return Schema(columns)
