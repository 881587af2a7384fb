"""Rows drawn from a stream: each with the same chance, no more than so many, and the same ones every time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbprod.monitoring.arrays import only
from nbprod.predictions.rows import united

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

LIMIT = 200_000
"""So many rows at most: a share of them is known to a fifth of a percent, and memory does not grow with a window."""

SLACK = 1.5
"""So many times the limit may be held for a while."""


def numbers_of_rows(first: int, count: int) -> Array:
    """The numbers that rows of a stream draw, by their places: from 0 to 1, the same whoever reads which part of it."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(0).advance(first)).random(count)


@dataclass(slots=True, kw_only=True)
class Drawn:
    """Rows as they come, of which each draws a number and the lowest stay.

    Numbers come from the rows' places alone, so that no regularity of theirs decides who stays.

    Attributes:
        seen: all rows that came.
        below: the rows whose number is less stay.
    """

    limit: int = LIMIT
    seen: int = 0
    below: float = 1.0
    parts: list[pa.Table] = field(default_factory=list)
    numbers: list[Array] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether all rows stayed."""
        return self.seen <= self.limit

    @property
    def kept(self) -> int:
        """How many stay."""
        return min(self.seen, self.limit)

    @property
    def held(self) -> int:
        """How many are held now: they are thinned now and then only, since that takes time."""
        return sum(part.num_rows for part in self.parts)

    def add(self, rows: pa.Table, numbers: Array) -> None:
        """More rows of the stream, with what they drew."""
        self.join(Drawn(limit=self.limit, seen=rows.num_rows, parts=[rows], numbers=[numbers]))

    def join(self, other: Drawn) -> None:
        """The rows of the part of the stream that comes next."""
        first = len(self.parts)
        self.seen += other.seen
        self.parts += other.parts
        self.numbers += other.numbers
        if self.whole:
            return
        if self.below < 1:
            self._thin(range(first, len(self.parts)))
        if self.held > SLACK * self.limit:
            self.settle()

    def settle(self) -> None:
        """Let no more than the limit stay."""
        import numpy as np

        if self.held > self.limit:
            self.below = float(np.partition(np.concatenate(self.numbers), self.limit)[self.limit])
            self._thin(range(len(self.parts)))

    def _thin(self, places: Iterable[int]) -> None:
        for place in places:
            stay = self.numbers[place] < self.below
            if not stay.all():
                self.parts[place] = only(self.parts[place], stay)
                self.numbers[place] = self.numbers[place][stay]

    def table(self) -> pa.Table:
        """Those that stay, in their order."""
        self.settle()
        return united(self.parts)
