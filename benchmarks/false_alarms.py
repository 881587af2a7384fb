"""How often drift policies alarm for nothing, and how soon they find a shift: ``python -m benchmarks.false_alarms``.

A year of days is simulated over and over: each day is a window, judged by each policy. An alarm is counted on every day
on which a policy alarms. Detection is the number of windows until the first alarm after a shift of some standard
deviations in one column. Reference and windows are counted in bins first, as nbprod does it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nbprod.monitoring.columns import BINS
from nbprod.monitoring.drift import ALPHA, EFFECT, Binned, chi2, js, ks, psi, wasserstein
from nbprod.monitoring.facts import Drift
from nbprod.monitoring.fairness import unequal
from nbprod.stats.groups import GroupValue

Array = np.ndarray[Any, Any]

COLUMNS = 20
DAYS = 365
DOCS = Path(__file__).resolve().parent.parent / "docs/monitoring.md"
BEGIN, END = "<!-- false alarms: begin -->", "<!-- false alarms: end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where rows come from.

    Attributes:
        correlated: how much all columns share with one hidden cause.
        season: how far the mean of all columns swings, in standard deviations; the reference covers it all.
        period: windows in which it comes round: 7 for days of a week, 24 for hours of a day.
        rare: if not empty, of each pair of columns one is a category with levels as rare as one row in a thousand.
        whole: if not empty, a window covers the whole season.
        reference: rows of the reference.
    """

    name: str
    correlated: float = 0.0
    season: float = 0.0
    rare: str = ""
    whole: str = ""
    period: int = 7
    reference: int = 100_000

    def rows(self, chance: np.random.Generator, count: int, *, day: int | None, shift: float = 0.0) -> Array:
        """Rows of a day, or of all days together, shape (count, columns)."""
        cause = chance.normal(size=(count, 1))
        own = chance.normal(size=(count, COLUMNS))
        made = np.sqrt(self.correlated) * cause + np.sqrt(1 - self.correlated) * own
        if self.season:
            any_time = day is None or self.whole
            when = chance.integers(0, self.period, (count, 1)) if any_time else np.full((count, 1), day)
            made += self.season * np.sin(2 * np.pi * when / self.period)
        made[:, 0] += shift
        found: Array = made
        return found


WORLDS = (
    World(name="independent"),
    World(name="correlated 0.5", correlated=0.5),
    World(name="days differ by 0.1 sd", season=0.1),
    World(name="days differ by 0.2 sd", season=0.2),
    World(name="hours differ by 0.1 sd, windows of an hour", season=0.1, period=24),
    World(name="days differ by 0.2 sd, windows of a week", season=0.2, whole="week"),
    World(name="rare levels", rare="yes"),
    World(name="a reference of 1,000 rows", reference=1000),
)
LEVELS = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.612])
"""Shares of the levels of a category with rare ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """How a world's columns are counted."""

    edges: Array
    categories: frozenset[int]
    reference: tuple[Binned, ...] = field(default=())

    def counted(self, rows: Array) -> list[Binned]:
        """Each column's counts."""
        found = []
        for column in range(COLUMNS):
            edges = self.edges[column]
            counts = np.bincount(np.searchsorted(edges, rows[:, column]), minlength=len(edges) + 1)
            places = None if column in self.categories else _places(edges)
            found.append(Binned(counts=counts.astype(float), places=places))
        return found


def _places(edges: Array) -> Array:
    return np.concatenate([[edges[0] - 0.5], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 0.5]])


def bins_of(world: World, reference: Array) -> Bins:
    """Bins of about equally many rows; of a category its levels, cut out of the normal distribution."""
    categories = frozenset(range(1, COLUMNS, 2)) if world.rare else frozenset[int]()
    edges = []
    for column in range(COLUMNS):
        shares = np.cumsum(LEVELS)[:-1] if column in categories else np.linspace(0, 1, BINS + 1)[1:-1]
        edges.append(np.quantile(reference[:, column], shares))
    made = Bins(edges=np.array(edges, dtype=object), categories=categories)
    return Bins(edges=made.edges, categories=categories, reference=tuple(made.counted(reference)))


Test = Callable[[Binned, Binned], Drift]


def _auto(alpha: float, effect: float) -> Test:
    def test(reference: Binned, current: Binned) -> Drift:
        chosen = ks if reference.places is not None else chi2
        return chosen(reference, current, alpha=alpha, effect=effect)

    return test


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy: a test for each column, and when the columns that drifted make an alarm.

    Attributes:
        share: of the columns that must drift in one window; 0 for any.
        of_last: windows that are looked back on, of which the same column must drift in `alarms`.
    """

    name: str
    test: Test
    share: float = 0.0
    alarms: int = 1
    of_last: int = 1


RULES = (
    Rule(name="**nbprod's default**", test=_auto(ALPHA / COLUMNS, EFFECT), alarms=2, of_last=3),
    Rule(name="the same, least effect 0.03", test=_auto(ALPHA / COLUMNS, 0.03), alarms=2, of_last=3),
    Rule(name="the same, least effect 0.05", test=_auto(ALPHA / COLUMNS, 0.05), alarms=2, of_last=3),
    Rule(name="the same, least effect 0.10", test=_auto(ALPHA / COLUMNS, 0.10), alarms=2, of_last=3),
    Rule(name="the default, any one window", test=_auto(ALPHA / COLUMNS, EFFECT)),
    Rule(name="least effect 0.03, any one window", test=_auto(ALPHA / COLUMNS, 0.03)),
    Rule(name="p < .05 in any column", test=_auto(0.05, 0.0)),
    Rule(name="PSI > 0.1 in any column", test=lambda a, b: psi(a, b, threshold=0.1)),
    Rule(name="PSI > 0.2 in any column", test=lambda a, b: psi(a, b, threshold=0.2)),
    Rule(name="JS > 0.1 in any column", test=lambda a, b: js(a, b, threshold=0.1)),
    Rule(name="Wasserstein > 0.1 sd in any column", test=lambda a, b: wasserstein(a, b, threshold=0.1)),
    Rule(name="Wasserstein > 0.1 sd in half of the columns", share=0.5, test=lambda a, b: wasserstein(a, b)),
)


def alarms(rule: Rule, days: Sequence[Sequence[Binned]], reference: Sequence[Binned]) -> Iterator[bool]:
    """Whether a rule alarms, day by day."""
    past: list[Array] = []
    for day in days:
        past.append(np.array([rule.test(a, b).drifted for a, b in zip(reference, day, strict=True)]))
        recent = np.array(past[-rule.of_last :])
        yield bool(past[-1].mean() >= rule.share if rule.share else (recent.sum(axis=0) >= rule.alarms).any())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a rule did in a world."""

    days: float
    delay: float
    found: float


def simulate(world: World, *, rows: int, years: int, shift: float, seed: int = 0) -> Mapping[str, Outcome]:
    """Alarm-days in a year without drift, and windows until a shift is found, of each rule.

    A shift that is not found within 30 windows counts as not found.
    """
    chance = np.random.default_rng(seed)
    reference = world.rows(chance, world.reference, day=None)
    bins = bins_of(world, reference)
    quiet = [bins.counted(world.rows(chance, rows, day=day)) for day in range(DAYS * years)]
    shifted = [
        [bins.counted(world.rows(chance, rows, day=day, shift=shift)) for day in range(30)] for _ in range(10 * years)
    ]
    found = {}
    for rule in RULES:
        days = sum(alarms(rule, quiet, bins.reference)) / years
        delays = [_first(alarms(rule, one, bins.reference)) for one in shifted]
        known = [delay for delay in delays if delay]
        mean = float(np.mean(known)) if known else float("nan")
        found[rule.name] = Outcome(days=days, delay=mean, found=len(known) / len(delays))
    return found


def _first(said: Iterator[bool]) -> int:
    return next((number for number, alarm in enumerate(said, 1) if alarm), 0)


def groups(*, rows: int, windows: int, seed: int = 0) -> dict[str, float]:
    """The share of windows in which equal groups alarm: a plain gap, and the corrected test."""
    chance = np.random.default_rng(seed)
    shares = np.array([0.75, 0.12, 0.06, 0.04, 0.03])
    plain = tested = 0
    for _ in range(windows):
        sizes = chance.multinomial(rows, shares)
        hits = chance.binomial(sizes, 0.4)
        rates = hits / np.maximum(sizes, 1)
        plain += bool(rates.max() - rates.min() > 0.1)
        values = [
            GroupValue(group=str(n), rows=int(s), value=float(r), among=int(s), enough=bool(s >= 20))
            for n, (s, r) in enumerate(zip(sizes, rates, strict=True))
        ]
        tested += unequal(values)
    return {"a gap above 0.1": plain / windows, "two-proportion test, corrected": tested / windows}


def table(*, rows: int, years: int, shift: float) -> str:
    """The table as Markdown."""
    made = {world.name: simulate(world, rows=rows, years=years, shift=shift) for world in WORLDS}
    head = [*(f"{name}: alarm days" for name in made), f"windows to find {shift:g} sd"]
    lines = [f"| policy | {' | '.join(head)} |", f"|---|{'---|' * len(head)}"]
    for rule in RULES:
        cells = [f"{outcome[rule.name].days:.1f}" for outcome in made.values()]
        cells.append(_delay(made[WORLDS[0].name][rule.name]))
        lines.append(f"| {rule.name} | {' | '.join(cells)} |")
    said = "; ".join(f"{name} alarms in {100 * share:.0f} %" for name, share in groups(rows=1000, windows=2000).items())
    about = (
        f"{COLUMNS} columns, 365 windows of {rows:,} rows in a year, a reference of 100,000 rows, {years} years; "
        "windows in a year that alarm though nothing drifted."
    )
    return (
        f"{about}\n\n" + "\n".join(lines) + f"\n\n{powers()}\n\nFive equal groups in windows of 1,000 rows: {said}.\n"
    )


def powers() -> str:
    """What a least effect costs and saves with windows of other sizes, as Markdown."""
    rules = [rule for rule in RULES if rule.of_last == 3]
    shifts = (0.15, 0.25, 0.5)
    head = ["rows", "least effect", "alarm days", "alarm days, days differ by 0.1 sd"]
    head += [f"windows to find {shift:g} sd" for shift in shifts]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for rows in (500, 1000, 10_000):
        quiet = {shift: simulate(WORLDS[0], rows=rows, years=1, shift=shift, seed=1) for shift in shifts}
        season = simulate(World(name="", season=0.1), rows=rows, years=1, shift=0.25, seed=1)
        for rule in rules:
            cells = [f"{quiet[0.25][rule.name].days:.0f}", f"{season[rule.name].days:.0f}"]
            cells += [_delay(quiet[shift][rule.name]) for shift in shifts]
            name = rule.name.replace("**nbprod's default**", f"**{EFFECT:g}**").removeprefix("the same, least effect ")
            lines.append(f"| {rows:,} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _delay(outcome: Outcome) -> str:
    if not outcome.found:
        return "never"
    share = "" if outcome.found > 0.99 else f" ({100 * outcome.found:.0f} % found)"
    return f"{outcome.delay:.1f}{share}"


def main() -> int:
    """Print the table, and write it into the docs if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_alarms", description=__doc__)
    parser.add_argument("--years", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--shift", type=float, default=0.25, help="in standard deviations")
    parser.add_argument("--write", action="store_true", help="write the table to docs/monitoring.md")
    options = parser.parse_args()
    text = table(rows=options.rows, years=options.years, shift=options.shift)
    print(text)
    if options.write:
        write(DOCS, text)
    return 0


def write(page: Path, text: str, *, begin: str = BEGIN, end: str = END) -> None:
    """Put text between two marks of a page."""
    whole = page.read_text(encoding="utf-8")
    before, _, rest = whole.partition(begin)
    page.write_text(f"{before}{begin}\n{text}{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
