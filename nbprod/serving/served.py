"""A model version that is ready to answer: the model, what it takes, how it may be asked, how it is logged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbprod.serving.asked import Asked, Journalled
from nbprod.serving.decode import Decoder
from nbprod.serving.frames import Shaper
from nbprod.serving.outputs import cut, listed
from nbprod.serving.proof import Proof
from nbprod.serving.refusal import Refused
from nbprod.serving.signature import Signature

Predict = Callable[[Any], Any]

CAUSED_BY_ROWS = (ValueError, ArithmeticError, LookupError)
"""What models raise about rows that they cannot take, such as a category that they never saw."""


@contextmanager
def refused_rows() -> Iterator[None]:
    """Take what a model raises about rows as a refusal of them."""
    try:
        yield
    except CAUSED_BY_ROWS as error:
        raise Refused(f"the model cannot take these rows ({type(error).__name__}).", path="$", status=422) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """See the module. It never changes: another version is another one of these.

    Attributes:
        version: its number in the registry, as text.
        digest: of its entry.
        predict, proba: of the model; no `proba` where it gives no probabilities.
        classes: in the order of the probabilities.
        journalled: writes inputs as the log keeps them.
        head, tail: what each answer of ``/predict`` holds of the version, as JSON: its name, and its classes.
    """

    name: str
    version: str
    digest: str
    entry: Mapping[str, Any]
    signature: Signature
    decoder: Decoder
    shaper: Shaper
    proof: Proof
    predict: Predict
    proba: Predict | None
    classes: tuple[Any, ...]
    journalled: Journalled
    head: bytes
    tail: bytes

    @property
    def ref(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"

    def cost(self, rows: int) -> float:
        """Seconds that so many rows take, as measured when the model was loaded."""
        return self.proof.base + rows * self.proof.per_row

    def answer(self, batch: Sequence[Asked]) -> list[tuple[Any, Any]]:
        """Predictions and, where asked for, probabilities of each request.

        All rows are predicted at once; only for a model that `proof` says it does not matter for may there be several.

        Raises:
            Refused: the model cannot take these rows.
        """
        with refused_rows():
            counts = [asked.count for asked in batch]
            values, shares = self.ask(self._question(batch), proba=batch[0].proba)
            if shares is None:
                return [(value, None) for value in cut(values, counts)]
            return list(zip(cut(values, counts), cut(shares, counts), strict=True))

    def ask(self, question: Any, *, proba: bool) -> tuple[Any, Any]:
        """The model's answers to an array or a table as it takes them, and probabilities where they are wanted.

        Raises:
            Refused: it gives no probabilities. What the model raises is passed on; see `refused_rows`.
        """
        values = listed(self.predict(question))
        if not proba:
            return values, None
        if self.proba is None:
            raise Refused(f"the model '{self.name}' gives no probabilities.", path="$.proba", status=422)
        return values, listed(self.proba(question))

    def _question(self, batch: Sequence[Asked]) -> Any:
        matrices = [asked.matrix for asked in batch]
        if self.signature.tensor is not None:
            found = matrices[0] if len(matrices) == 1 else np.concatenate([m for m in matrices if m is not None])
            return found
        rows = self._rows(batch)
        if self.proof.arrays:
            array = self.shaper.narrowed(rows) if isinstance(rows, np.ndarray) else self.shaper.array(rows)
            if self.shaper.exact(array):
                return array
        return self.shaper.frame(rows.tolist() if isinstance(rows, np.ndarray) else rows)

    def _rows(self, batch: Sequence[Asked]) -> Any:
        """The rows of all: a list of tuples, or an array where all of them are arrays."""
        if len(batch) == 1:
            return batch[0].rows if batch[0].matrix is None else batch[0].matrix
        matrices = [asked.matrix for asked in batch if asked.matrix is not None]
        if len(matrices) == len(batch):
            return np.concatenate(matrices)
        found: list[Any] = []
        for asked in batch:
            found.extend(asked.rows if asked.matrix is None else asked.matrix.tolist())
        return found
