"""Which columns of each part are used, kept or ignored; decided for all parts before a row of any is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbprod.errors import UsageError, nearest
from nbprod.scoring.parts import Part
from nbprod.scoring.reading import Shape, shape_of
from nbprod.scoring.values import may_hold
from nbprod.serving.signature import Column, Signature
from nbprod.serving.types import word

if TYPE_CHECKING:
    import pyarrow as pa

ALL = "*"
"""To keep every column."""

OWN = ("prediction", "request", "row")
"""The columns that the output has anyway; `probability_` and a class may come to them."""

REJECTED = ("rejected_file", "rejected_row", "rejected_column", "rejected_reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person wants of the columns.

    Attributes:
        keep: names of those that are written beside the predictions; `ALL` for every one.
        ignore: names of those that are not looked at.
        whole: whether all columns are read, because rows may be rejected.
    """

    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is read of one part.

    Attributes:
        read: names of the columns.
        kept: those of them that are written beside the predictions.
        unknown: those that the model does not have and nobody named; they are not used.
    """

    part: Part
    shape: Shape
    read: tuple[str, ...]
    kept: tuple[str, ...]
    unknown: tuple[str, ...]


def layouts(parts: Sequence[Part], signature: Signature, wanted: Wanted) -> tuple[Layout, ...]:
    """Look at all parts, and refuse those that do not fit the model.

    Raises:
        UsageError: a column is missing, of another kind, or called like one of the output's; or the model takes none.
        ArtifactError: a part cannot be read.
    """
    if signature.tensor is not None:
        raise UsageError(
            "the model takes a tensor, and files hold columns: log it with a table as its example, or ask the service."
        )
    found = tuple(_layout(part, shape_of(part), signature, wanted) for part in parts)
    for name in (*wanted.keep, *wanted.ignore):
        if name != ALL and not any(name in layout.shape.schema.names for layout in found):
            known = {known for layout in found for known in layout.shape.schema.names}
            option = "--keep" if name in wanted.keep else "--ignore"
            raise UsageError(f"{option} {name}: the input has no such column.{nearest(name, known)}")
    for name in (name for layout in found for name in layout.kept):
        if name in OWN or name.startswith("probability_"):
            raise UsageError(f"--keep {name}: the output has a column of its own that is called so.")
    return found


def _layout(part: Part, shape: Shape, signature: Signature, wanted: Wanted) -> Layout:
    names = shape.schema.names
    for column in signature.columns:
        if column.name in names:
            _check_type(part, shape.schema.field(column.name).type, column)
        elif column.required:
            raise UsageError(f"the column '{column.name}' is missing.{nearest(column.name, names)}", file=part.label)
    every = ALL in wanted.keep
    kept = tuple(names) if every else tuple(dict.fromkeys(name for name in wanted.keep if name in names))
    if not every and (lacking := [name for name in wanted.keep if name not in names]):
        kept = (*kept, *lacking)  # told by `layouts` if no part has it; null here
    own = set(signature.names)
    unknown = tuple(name for name in names if name not in own and name not in kept and name not in wanted.ignore)
    _check_unknown(part, names, unknown, signature)
    used = [name for name in names if name in own or name in kept or wanted.whole]
    return Layout(part=part, shape=shape, read=tuple(used) or shape.own[:1], kept=kept, unknown=unknown)


def _check_type(part: Part, found: pa.DataType, column: Column) -> None:
    if part.format == "csv" or column.name in part.keys:
        if column.type in ("array", "object", "map", "any"):
            raise UsageError(
                f"the column '{column.name}' holds lists or objects, which CSV cannot: use Parquet.", file=part.label
            )
    elif not may_hold(column.type, found):
        raise UsageError(
            f"expected {word(column)} in the column '{column.name}', whose type is {found}: convert it first.",
            file=part.label,
        )


def _check_unknown(part: Part, names: Sequence[str], unknown: Sequence[str], signature: Signature) -> None:
    """A column that the model does not have is ignored, unless it may be one of the model's under a wrong name."""
    absent = [column.name for column in signature.columns if column.name not in names]
    if absent and unknown:
        raise UsageError(
            f"the model has no column '{unknown[0]}', and its column '{absent[0]}', which may be missing, is: rename "
            f"it if it is that one, else say --ignore '{unknown[0]}' or --keep '{unknown[0]}'.",
            file=part.label,
        )


def kept_schema(found: Sequence[Layout]) -> pa.Schema:
    """The kept columns with types that hold what every part has.

    Raises:
        UsageError: there are none.
    """
    names = list(dict.fromkeys(name for layout in found for name in layout.kept))
    return _common(found, names, "--keep")


def rejected_schema(found: Sequence[Layout]) -> pa.Schema:
    """The columns of rejected rows as they came; text where parts differ."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {}
    for layout in found:
        for field in layout.shape.schema:
            same = types.setdefault(field.name, field.type) == field.type
            types[field.name] = field.type if same else pa.string()
    first = [
        (REJECTED[0], pa.string()),
        (REJECTED[1], pa.int64()),
        (REJECTED[2], pa.string()),
        (REJECTED[3], pa.string()),
    ]
    return pa.schema([*first, *((name, kind) for name, kind in types.items() if name not in REJECTED)])


def _common(found: Sequence[Layout], names: Sequence[str], option: str) -> pa.Schema:
    import pyarrow as pa

    fields = []
    for name in names:
        own = [
            pa.schema([layout.shape.schema.field(name)]).remove_metadata().with_metadata(None)
            for layout in found
            if name in layout.shape.schema.names
        ]
        try:
            fields.append(pa.unify_schemas(own, promote_options="permissive").field(0))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            kinds = sorted({str(layout.field(0).type) for layout in own})
            raise UsageError(f"{option} {name}: its type differs from file to file: {', '.join(kinds)}.") from error
    return pa.schema([field.with_nullable(True).remove_metadata() for field in fields])
