"""A profile: what a set of rows looks like in counts, so that others can be compared with it and no row is shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.entities import Fact
from nbprod.errors import ArtifactError
from nbprod.monitoring.arrays import dictionary, parquet, plain
from nbprod.monitoring.columns import LEAST, Column, binned, counted, merged
from nbprod.monitoring.drawn import Drawn, numbers_of_rows
from nbprod.monitoring.suppressing import suppressed
from nbprod.stats.groups import GroupValue

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

SCHEMA = "nbprod/profile/1"
SAMPLE = 200_000
"""Bins are chosen by no more rows than this, evenly spread."""

REPEATED = 5000
"""Repetitions are looked for in so many rows, drawn at random: more rows would repeat each other more often."""

PREDICTION, SCORE = "prediction", "score"

ANSWER = "answer."
"""Stands before the names of columns that are no inputs, since an input may be called ``score`` or ``time``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Fact):
    """A metric on the rows of the reference."""

    name: str
    value: float
    interval: tuple[float, ...] | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration(Fact):
    """How often scores of about this height were right: the rows of one bin of scores."""

    score: float
    share: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance(Fact):
    """How well the model did where the truth was known, before it was registered.

    Attributes:
        task: ``binary``, ``classes`` or ``values``.
        positive: the class that counts as positive, as text.
        groups: column -> metric -> what it was in each group.
    """

    dataset: str
    task: str
    rows: int
    positive: str = ""
    metrics: tuple[Measured, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    groups: dict[str, dict[str, tuple[GroupValue, ...]]] = field(default_factory=dict)

    def metric(self, name: str) -> Measured | None:
        """A metric by its name."""
        return next((item for item in self.metrics if item.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Fact):
    """The counts of some rows.

    Attributes:
        dataset: the role of the rows that the columns were counted in.
        outside: rows with any value that the reference does not have.
        answers: the columns ``prediction`` and ``score``, counted on the test rows where there are some.
        repeated: the share of rows that say what another one says, among some thousands.
    """

    schema: str = SCHEMA
    dataset: str = ""
    rows: int = 0
    outside: int = 0
    repeated: float | None = None
    columns: dict[str, Column] = field(default_factory=dict)
    answers: dict[str, Column] = field(default_factory=dict)
    performance: Performance | None = None

    @property
    def texts(self) -> set[str]:
        """Columns of which values are counted by name."""
        return {name for name, column in self.columns.items() if column.kind == "category"}

    def empty(self) -> Profile:
        """The same bins, with nothing in them."""
        return Profile(
            columns={name: column.empty() for name, column in self.columns.items()},
            answers={name: column.empty() for name, column in self.answers.items()},
        )


def reference_of(tables: Iterable[pa.Table], columns: Sequence[str], *, dataset: str) -> Profile:
    """The profile of the rows that others are compared with; small counts are left out.

    Args:
        tables: all rows, in parts; they are gone through twice.
        columns: those that count, if they are there.
    """
    import pyarrow as pa

    tables = list(tables)
    total = sum(table.num_rows for table in tables)
    step = max(1, -(-total // SAMPLE))
    sample = pa.concat_tables(
        [table.take(list(range(0, table.num_rows, step))) if step > 1 else table for table in tables],
        promote_options="permissive",
    )
    bins = Profile(columns={name: binned(sample[name]) for name in columns if name in sample.column_names})
    found = bins.empty()
    for table in tables:
        found = merge(found, profile_of(table, bins))
    own = {name: suppressed(column) for name, column in found.columns.items()}
    some = Drawn(limit=REPEATED)
    for table in tables:
        some.add(table.select(list(own)), numbers_of_rows(some.seen, table.num_rows))
    repeated = repeated_share(some.table(), list(own))
    return Profile(dataset=dataset, rows=found.rows, columns=own, repeated=repeated)


def profile_of(table: pa.Table, like: Profile) -> Profile:
    """Rows counted in the bins of another profile; columns that are not there are left out.

    Args:
        table: inputs by their names, answers with ``answer.`` before theirs.
    """
    import numpy as np

    outside = np.zeros(table.num_rows, dtype=bool)
    names = set(table.column_names)
    found = {name: counted(table[name], column, outside) for name, column in like.columns.items() if name in names}
    answers = {
        name: counted(table[ANSWER + name], column) for name, column in like.answers.items() if ANSWER + name in names
    }
    return Profile(rows=table.num_rows, outside=int(outside.sum()), columns=found, answers=answers)


def merge(one: Profile, other: Profile) -> Profile:
    """Two sets of rows as one; a column that one of them lacks counts the other's rows only.

    Raises:
        ValueError: they have other bins.
    """
    return Profile(
        dataset=one.dataset or other.dataset,
        rows=one.rows + other.rows,
        outside=one.outside + other.outside,
        repeated=one.repeated if other.repeated is None else other.repeated,
        columns=_together(one.columns, other.columns),
        answers=_together(one.answers, other.answers),
        performance=one.performance or other.performance,
    )


def _together(one: Mapping[str, Column], other: Mapping[str, Column]) -> dict[str, Column]:
    return {
        name: merged(one[name], other[name]) if name in one and name in other else one.get(name) or other[name]
        for name in (*one, *(name for name in other if name not in one))
    }


def repeated_share(some: pa.Table, columns: Collection[str]) -> float | None:
    """The share of rows that say what an earlier one says; None where there are too few."""
    import numpy as np
    import pyarrow as pa

    names = [name for name in columns if name in some.column_names and not pa.types.is_nested(some[name].type)]
    if not names or some.num_rows < 2 * LEAST:
        return None
    codes = np.column_stack([plain(dictionary(some[name]).indices) for name in names])
    return 1 - len({row.tobytes() for row in codes}) / len(codes)


def write_profile(profile: Profile) -> bytes:
    """A profile as the registered folder holds it."""
    return json.dumps(profile.to_dict(), sort_keys=True, separators=(",", ":")).encode()


def read_profile(data: bytes, *, file: str) -> Profile:
    """The inverse of `write_profile`.

    Raises:
        ArtifactError: it is none, or one of a schema that this nbprod does not read.
    """
    try:
        content = json.loads(data)
        schema = content["schema"]
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError("is no profile of nbprod's: it is damaged.", file=file) from error
    if schema != SCHEMA:
        raise ArtifactError(
            f"the profile has the schema '{schema}', and this nbprod reads {SCHEMA}: upgrade nbprod.", file=file
        )
    try:
        return Profile.from_dict(content)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ArtifactError("is no profile of nbprod's: it is damaged.", file=file) from error


def file_profile(path: Path, like: Profile) -> Profile:
    """A Parquet file's rows counted part by part, so that memory does not grow with the file."""
    import pyarrow.parquet as pq

    total, there = like.empty(), set(pq.read_schema(path).names)
    wanted = {*like.columns, *(ANSWER + name for name in like.answers)}
    for table in parquet(path, wanted.__contains__, texts=like.texts):
        total = merge(total, profile_of(table, like))
    return replace(
        total,
        columns={name: column for name, column in total.columns.items() if name in there},
        answers={name: column for name, column in total.answers.items() if ANSWER + name in there},
    )
