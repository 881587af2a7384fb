"""What was measured: series of values with their spread, and whether nbprod's bars are met."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.processes import Took

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One thing measured several times.

    Attributes:
        measure: what was measured; series with the same measure are compared.
        subject: the tool, or the way it was done.
        values: one a run, in `unit`.
        busy: median of the seconds of processor time; None where that says nothing.
        note: what else is to be known, such as how many stages ran.
    """

    measure: str
    subject: str
    values: tuple[float, ...]
    unit: str = "s"
    busy: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A promise and what was found.

    Attributes:
        kind: ``time`` depends on the machine and its load; ``behaviour`` does not, and must hold anywhere.
    """

    promise: str
    found: str
    met: bool
    kind: str = "time"


@dataclass(slots=True)
class Results:
    """All that a benchmark found, in order."""

    series: list[Series] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def timed(self, measure: str, subject: str, times: Sequence[Took], *, note: str = "") -> Series:
        """Keep how long something took, and return it as a series."""
        values, busy = [took.seconds for took in times], statistics.median(took.busy for took in times)
        return self._add(Series(measure=measure, subject=subject, values=tuple(values), busy=busy, note=note))

    def add(self, measure: str, subject: str, values: Sequence[float], *, unit: str = "s") -> Series:
        """Keep a series and return it."""
        return self._add(Series(measure=measure, subject=subject, values=tuple(values), unit=unit))

    def _add(self, made: Series) -> Series:
        self.series.append(made)
        return made

    def at_most(self, promise: str, found: Series, limit: float) -> None:
        """Hold the median of a series against a limit in its unit."""
        self.bars.append(Bar(promise=promise, found=shown(found.median, found.unit), met=found.median <= limit))

    def ratio(self, promise: str, slow: Series, fast: Series, limit: float) -> None:
        """Hold the ratio of two series, which were measured in pairs, against a lower limit."""
        pairs = [a / b for a, b in zip(slow.values, fast.values, strict=True)]
        ratio = slow.median / fast.median
        self.bars.append(
            Bar(
                promise=promise,
                found=f"{ratio:.2f} times (pairs: {min(pairs):.2f} to {max(pairs):.2f})",
                met=ratio >= limit,
            )
        )

    def behaviour(self, promise: str, found: str, met: bool) -> None:
        """Keep whether something holds that no machine and no load may change."""
        self.bars.append(Bar(promise=promise, found=found, met=met, kind="behaviour"))


def shown(value: float, unit: str) -> str:
    """A value as a person reads it: three digits and its unit."""
    if unit == "s" and value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def alternate(actions: Mapping[str, Callable[[int], T]], rounds: int) -> dict[str, list[T]]:
    """Do every action once a round, forwards and backwards in turn, so that a slow minute of the machine hits them all.

    Args:
        actions: name -> function of the round's number, from 0, that returns what it measured.
        rounds: how often.

    Returns:
        Name -> one value a round.
    """
    found: dict[str, list[T]] = {name: [] for name in actions}
    for number in range(rounds):
        for name in list(actions)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(actions[name](number))
    return found
