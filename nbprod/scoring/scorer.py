"""Scoring a piece: check its columns, ask the model, and give back what is to be written, logged and rejected."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nbprod.errors import DeployError
from nbprod.scoring.answers import Form
from nbprod.scoring.reading import Piece
from nbprod.scoring.values import Values, arrow_type, checked
from nbprod.serving.refusal import Refused
from nbprod.serving.served import Served, refused_rows
from nbprod.serving.types import word

if TYPE_CHECKING:
    import pyarrow as pa

MOST_REFUSED = 1000
"""A model that refuses more rows of a piece than this is not asked further: each costs predictions of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A piece with what is to be known of it; it may be sent to another machine.

    Attributes:
        part: the number of its part.
        csv: the names of the columns that are text of CSV.
        kept: names of the columns that are written beside the predictions.
    """

    part: int
    piece: Piece
    csv: frozenset[str]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a row is rejected.

    Attributes:
        row, line: see `Piece`.
        column: empty where it is about no single one.
        why: a few words, without any value.
        broken: whether it is no row at all, so that it has no cells.
    """

    row: int
    line: int | None
    column: str
    why: str
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A piece that was scored.

    Attributes:
        output: the kept columns and the answers of the rows that are good.
        inputs: of the same rows what the prediction log keeps of them.
        faults: of the others, by their rows.
        rejected: the others as they came.
        began: Unix seconds.
        seconds: that it took.
    """

    part: int
    output: pa.Table
    inputs: pa.Table
    faults: tuple[Fault, ...]
    rejected: pa.Table
    began: float
    seconds: float

    @property
    def scored(self) -> int:
        """How many rows are good."""
        return int(self.output.num_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores pieces with a version; several threads may.

    Attributes:
        kept: the columns that the prediction log keeps.
        stops: whether a bad row ends it all, so that the model need not be asked about the others.
        one: held while the model is asked, where it is not known that several threads may; see `lock_for`.
    """

    served: Served
    form: Form
    kept: tuple[str, ...]
    stops: bool
    one: AbstractContextManager[Any] = field(default_factory=threading.Lock)

    def score(self, question: Question) -> Result:
        """Check and answer a piece.

        Raises:
            DeployError: the model fails otherwise than by refusing rows.
        """
        began, clock = time.time(), time.perf_counter()
        piece, signature = question.piece, self.served.signature
        names, count = piece.table.column_names, piece.table.num_rows
        columns = {
            column.name: checked(column, piece.table[column.name], csv=column.name in question.csv)
            if column.name in names
            else _absent(column.type, count)
            for column in signature.columns
        }
        faults = [Fault(row=item.row, line=item.line, column="", why=item.why, broken=True) for item in piece.broken]
        good, wrong = self._judged(columns, piece)
        faults += wrong
        if faults and self.stops:
            good[:] = False
        at = np.flatnonzero(good)
        answers, refused = self._answers(columns, at)
        if len(refused):
            faults += [_fault(piece, row, "", f"the model cannot take this row ({why})") for row, why in refused]
            good[[row for row, _ in refused]] = False
        return self._result(question, columns, good, answers, faults, began=began, clock=clock)

    def _result(
        self, question: Question, columns: Mapping[str, Values], good: Any, answers: Sequence[Any],
        faults: Sequence[Fault], *, began: float, clock: float,
    ) -> Result:  # fmt: skip
        import pyarrow as pa

        table, every = question.piece.table, bool(good.all())
        own = table if every else table.filter(pa.array(good))
        kept = [own[name] if name in own.column_names else pa.nulls(own.num_rows) for name in question.kept]
        output = pa.table([*kept, *answers], names=[*question.kept, *self.form.schema.names])
        inputs = {name: _picked(columns[name].values, good, every=every) for name in self.kept}
        return Result(
            part=question.part, output=output, inputs=_logged(inputs), began=began,
            rejected=table.slice(0, 0) if every else table.filter(pa.array(~good)),
            faults=tuple(sorted(faults, key=lambda fault: fault.row)), seconds=time.perf_counter() - clock,
        )  # fmt: skip

    def _judged(self, columns: Mapping[str, Values], piece: Piece) -> tuple[Any, list[Fault]]:
        """Which rows are good, and of each other the first column that is not."""
        good = np.ones(piece.table.num_rows, bool)
        faults = []
        for column in self.served.signature.columns:
            found, why = columns[column.name], f"expected {word(column)}"
            for bad, what in ((found.bad, why), (found.missing, f"{why}, found nothing")):
                if bad is not None:
                    faults += [_fault(piece, int(row), column.name, what) for row in np.flatnonzero(bad & good)]
                    good &= ~bad
        return good, faults

    def _answers(self, columns: Mapping[str, Values], at: Any) -> tuple[list[Any], list[tuple[int, str]]]:
        """The model's answers to the rows at some places, without those that it refuses; and those."""
        import pyarrow as pa

        found: list[list[Any]] = []
        refused: list[tuple[int, str]] = []
        for arrays in self._asked(columns, at, refused):
            found.append(arrays)
        if len(found) == 1:
            return found[0], refused
        schema = self.form.schema
        joined = [pa.chunked_array([part[n] for part in found], kind) for n, kind in enumerate(schema.types)]
        return joined, refused

    def _asked(self, columns: Mapping[str, Values], at: Any, refused: list[tuple[int, str]]) -> Iterator[list[Any]]:
        """Ask about all rows at once; where the model refuses them, about each half."""
        if not len(at):
            return
        served = self.served
        picked = [_taken(columns[column.name].values, at) for column in served.signature.columns]
        try:
            with self.one, refused_rows():
                question = served.shaper.question(picked, arrays=served.proof.arrays)
                values, shares = served.ask(question, proba=bool(self.form.shares))
                if len(values) != len(at):
                    raise DeployError(f"{served.ref} gave {len(values)} answers to {len(at)} rows.")
            yield self.form.arrays(values, shares, served.ref)
        except Refused as error:
            if len(at) > 1:
                half = len(at) // 2
                yield from self._asked(columns, at[:half], refused)
                yield from self._asked(columns, at[half:], refused)
                return
            if len(refused) >= MOST_REFUSED:
                raise DeployError(
                    f"{served.ref} refuses more than {MOST_REFUSED:,} rows of one piece: {error.message}"
                ) from error
            refused.append((int(at[0]), type(error.__cause__).__name__))
        except DeployError:
            raise
        except Exception as error:  # a bug of the model's, as it is in the service
            raise DeployError(f"{served.ref} fails ({type(error).__name__}: its message may hold values).") from error


def lock_for(served: Served) -> AbstractContextManager[Any]:
    """What is held while a model is asked: nothing for scikit-learn's estimators, which only read when they predict."""
    return nullcontext() if served.entry["model"].get("serialization") == "skops" else threading.Lock()


def _fault(piece: Piece, at: int, column: str, why: str) -> Fault:
    line = None if piece.lines is None else int(piece.lines[at])
    return Fault(row=int(piece.rows[at]), line=line, column=column, why=why)


def _absent(kind: str, count: int) -> Values:
    import pyarrow as pa

    own = arrow_type(kind)
    return Values(values=[None] * count if own is None else pa.nulls(count, own))


def _taken(values: Any, at: Any) -> Any:
    """The values at some places; the same object if those are all."""
    if len(at) == len(values):
        return values
    import pyarrow as pa

    return [values[int(n)] for n in at] if isinstance(values, list) else values.take(pa.array(at))


def _picked(values: Any, good: Any, *, every: bool) -> Any:
    return values if every else _taken(values, np.flatnonzero(good))


def _logged(inputs: Mapping[str, Any]) -> pa.Table:
    """Inputs as the prediction log has them: what JSON would have made of them."""
    import pyarrow as pa

    from nbprod.predictions.rows import column_of

    return pa.table({column_of(name): as_logged(values) for name, values in inputs.items()})


def as_logged(values: Any) -> pa.Array:
    """One column as the log has it: numbers of 64 bits, dates and bytes as text, nested values as JSON."""
    import base64

    import orjson
    import pyarrow as pa
    from pyarrow import types as is_

    from nbprod.predictions.rows import array_of
    from nbprod.serving.asked import plain

    if isinstance(values, list):
        return array_of(orjson.loads(orjson.dumps(values, default=plain)))
    if is_.is_floating(values.type):
        return values.cast(pa.float64())
    if is_.is_integer(values.type):
        return values.cast(pa.int64())
    if is_.is_timestamp(values.type):
        return pa.array([None if value is None else value.isoformat() for value in values.to_pylist()], pa.string())
    if is_.is_binary(values.type):
        return pa.array(
            [None if value is None else base64.b64encode(value).decode() for value in values.to_pylist()], pa.string()
        )
    return values
