"""What a model takes, read from the signature in its entry: named columns, or one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.errors import DeployError

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
NESTED = ("array", "object", "map", "any")
NUMBERS = frozenset({"integer", "long", "float", "double"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One input.

    Attributes:
        type: MLflow's name for it; see `SCALARS` and `NESTED`.
        required: false where it may be null or left out.
        detail: the rest of MLflow's description, for nested types.
    """

    name: str
    type: str
    required: bool = True
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An array of any number of dimensions, of which the first is the rows.

    Attributes:
        name: empty where the signature gives none.
        dtype: numpy's name.
        shape: of one row; -1 for any size.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Either columns or a tensor."""

    columns: tuple[Column, ...] = ()
    tensor: Tensor | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the model's order."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> frozenset[str]:
        """The types of all columns."""
        return frozenset(column.type for column in self.columns)

    @property
    def complete(self) -> bool:
        """Whether every column is required."""
        return all(column.required for column in self.columns)

    def in_order(self, names: Sequence[str]) -> Signature:
        """With the columns in another order, or itself where none is given."""
        own = {column.name: column for column in self.columns}
        return Signature(columns=tuple(own[name] for name in names), tensor=self.tensor) if names else self


def read_signature(entry: Mapping[str, Any]) -> Signature:
    """The inputs of a version.

    Raises:
        DeployError: it has no signature, or one that cannot be served.
    """
    inputs = entry["model"]["signature"].get("inputs")
    if not inputs:
        raise DeployError(
            f"the model '{entry['name']}' has no signature, so a service could not check what it is asked: log it with "
            "an example (nbprod.log_model(model, example=...)) and register it again."
        )
    if any(item.get("type") == "tensor" for item in inputs):
        if len(inputs) > 1:
            raise DeployError(f"the model '{entry['name']}' takes several tensors, and nbprod serves models of one.")
        return Signature(tensor=_tensor(inputs[0]))
    names = [item.get("name") for item in inputs]
    if names == [None]:
        names = ["value"]
    if None in names or len(set(names)) < len(names):
        raise DeployError(f"the columns of the model '{entry['name']}' have no names, or two have the same.")
    return Signature(columns=tuple(_column(str(name), item) for name, item in zip(names, inputs, strict=True)))


def _column(name: str, item: Mapping[str, Any]) -> Column:
    kind = str(item["type"])
    if kind not in SCALARS + NESTED:
        raise DeployError(f"the column '{name}' is of the type {kind}, which nbprod cannot serve.")
    detail = {key: value for key, value in item.items() if key not in ("name", "type", "required")}
    return Column(name=name, type=kind, required=bool(item.get("required", True)), detail=detail)


def _tensor(item: Mapping[str, Any]) -> Tensor:
    spec = item["tensor-spec"]
    shape = tuple(int(size) for size in spec["shape"])
    if not shape or shape[0] != -1:
        raise DeployError("the model's tensor has a fixed number of rows, and nbprod serves models that take any.")
    return Tensor(name=str(item.get("name") or ""), dtype=str(spec["dtype"]), shape=shape[1:])
