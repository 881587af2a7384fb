"""Rows drawn from a stream: each with the same chance, no more than so many, and the same ones every time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbprod.predictions.rows import united

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

LIMIT = 200_000
"""So many rows at most: a share of them is known to a fifth of a percent, and memory does not grow with a window."""


@dataclass(slots=True, kw_only=True)
class Drawn:
    """Rows as they come, of which each draws a number and the lowest stay.

    Numbers come from one seed and the order of the rows, so that no regularity of theirs decides who stays.

    Attributes:
        seen: all rows that came.
        below: the rows whose number is less stay.
    """

    limit: int = LIMIT
    seen: int = 0
    below: float = 1.0
    parts: list[pa.Table] = field(default_factory=list)
    numbers: list[Array] = field(default_factory=list)
    chance: np.random.Generator | None = None

    @property
    def whole(self) -> bool:
        """Whether all rows stayed."""
        return self.seen <= self.limit

    @property
    def kept(self) -> int:
        """How many stayed."""
        return sum(part.num_rows for part in self.parts)

    def add(self, rows: pa.Table) -> None:
        """More rows of the stream."""
        import numpy as np

        self.chance = self.chance or np.random.default_rng(0)
        self.seen += rows.num_rows
        self.parts.append(rows)
        self.numbers.append(self.chance.random(rows.num_rows))
        if self.whole:
            return
        if self.below < 1:
            self._thin(len(self.parts) - 1)
        if self.kept > self.limit:
            numbers = np.concatenate(self.numbers)
            self.below = float(np.partition(numbers, self.limit)[self.limit])
            for place in range(len(self.parts)):
                self._thin(place)

    def _thin(self, place: int) -> None:
        import pyarrow as pa

        stay = self.numbers[place] < self.below
        self.parts[place] = self.parts[place].filter(pa.array(stay))
        self.numbers[place] = self.numbers[place][stay]

    def table(self) -> pa.Table:
        """Those that stayed, in their order."""
        return united(self.parts)
