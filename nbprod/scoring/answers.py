"""A model's answers as columns, of the same types from the first piece to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbprod.errors import DeployError, UsageError
from nbprod.predictions.rows import array_of
from nbprod.serving import outputs
from nbprod.serving.loading import example_rows
from nbprod.serving.proof import made_rows
from nbprod.serving.served import Served

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTION = "prediction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The columns that answers have.

    Attributes:
        prediction: its type.
        shares: names of the columns of probabilities, in the model's order; none if nobody asked for them.
    """

    prediction: pa.DataType
    shares: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        import pyarrow as pa

        return pa.schema([(PREDICTION, self.prediction), *((name, pa.float64()) for name in self.shares)])

    def arrays(self, values: Any, shares: Any, ref: str) -> list[pa.Array]:
        """Answers as columns.

        Raises:
            DeployError: they are of another type than the example's were.
        """
        found = as_array(values)
        if found.type != self.prediction:
            found = _cast(found, self.prediction, ref)
        if not self.shares:
            return [found]
        table = np.asarray(shares, dtype="float64")
        if table.shape != (len(found), len(self.shares)):
            raise DeployError(f"{ref} gives probabilities of {table.shape[-1]} classes, and gave {len(self.shares)}.")
        return [found, *(_finite(table[:, at].copy()) for at in range(len(self.shares)))]


def form_of(served: Served, *, proba: bool) -> Form:
    """What a version answers, found by asking it about its example.

    Raises:
        UsageError: there are no probabilities, or more than one for a class.
        DeployError: the model does not answer.
    """
    if proba and served.proba is None:
        raise UsageError(f"the model '{served.name}' gives no probabilities: leave --proba out.")
    rows = example_rows(served.entry, served.signature) or made_rows(served.signature, [])
    values, shares = _asked(served, rows, proba=proba)
    prediction = as_array(values).type
    if not proba:
        return Form(prediction=_known(prediction))
    table = np.asarray(shares)
    if table.ndim != 2:
        raise UsageError(f"the model '{served.name}' gives several probabilities for a class: leave --proba out.")
    classes: Sequence[Any] = served.classes if len(served.classes) == table.shape[1] else range(table.shape[1])
    return Form(prediction=_known(prediction), shares=tuple(f"probability_{name}" for name in classes))


def _asked(served: Served, rows: Sequence[Any], *, proba: bool) -> tuple[Any, Any]:
    error: Exception | None = None
    for some in (rows, *([row] for row in rows)):  # some that were made may hold what the model never saw
        try:
            return served.ask(served.shaper.frame(some), proba=proba)
        except Exception as raised:  # whatever a model raises
            error = raised
    raise DeployError(f"{served.ref} fails on its example ({type(error).__name__}).") from error


def _known(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.float64() if pa.types.is_null(kind) else kind


def as_array(values: Any) -> pa.Array:
    """Answers as one array: what the service answers as JSON, so numbers that are not finite are null."""
    import orjson
    import pyarrow as pa

    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "biuf":
        if values.dtype.kind == "f":
            return _finite(values)
        return pa.array(values, pa.bool_() if values.dtype.kind == "b" else pa.int64())
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "iuf":
        ends = np.arange(len(values) + 1, dtype="int32") * values.shape[1]
        return pa.ListArray.from_arrays(ends, _finite(values.astype("float64").reshape(-1)))
    return array_of(orjson.loads(outputs.text(values)))


def _finite(values: np.ndarray[Any, Any]) -> pa.Array:
    import pyarrow as pa

    fits = np.isfinite(values)
    own = values.astype("float32") if values.dtype.itemsize < 4 else values
    return pa.array(own, mask=None if fits.all() else ~fits)


def _cast(found: pa.Array, kind: pa.DataType, ref: str) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(kind) and not pa.types.is_null(found.type):
        return array_of([text if isinstance(text, str) else str(text) for text in found.to_pylist()])
    try:
        return found.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DeployError(
            f"{ref} answers with {found.type} here and with {kind} to its example, so its answers fit into no column."
        ) from error
