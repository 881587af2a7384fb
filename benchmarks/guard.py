"""How often the guard takes a promotion back by chance, and how soon a worse one: ``python -m benchmarks.guard``.

Accuracy is simulated: labels of the version before, and labels that add up while the guard looks. Every look is
judged as `nbprod watch` judges it.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass

import numpy as np

from benchmarks.false_alarms import DOCS, write
from nbprod.retraining import guard
from nbprod.stats.intervals import wilson

BEGIN, END = "<!-- guard: begin -->", "<!-- guard: end -->"
ACCURACY = 0.8
DROPS = (0.02, 0.03, 0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How a promotion is watched over.

    Attributes:
        old: labels of the version before.
        labels: that become known between two looks.
    """

    words: str
    looks: int
    labels: int
    old: int


WATCHES = (
    Watch(words="every hour for a week, 20 labels each", looks=168, labels=20, old=5000),
    Watch(words="every day for a month, 170 labels each", looks=30, labels=170, old=5000),
    Watch(words="every day for half a year, 1,000 labels each", looks=180, labels=1000, old=30_000),
    Watch(words="every month for half a year, 5,000 labels each", looks=6, labels=5000, old=5000),
)


def first_rollback(dice: np.random.Generator, watch: Watch, drop: float) -> int:
    """The look that takes a promotion back to a version whose accuracy is lower by ``drop``; 0 if none does."""
    right = int(dice.binomial(watch.old, ACCURACY))
    old = _live("m/1", right, watch.old)
    rights = np.cumsum(dice.binomial(watch.labels, ACCURACY - drop, size=watch.looks))
    for look, known in enumerate(rights.tolist(), start=1):
        if guard.judge(old, _live("m/2", known, look * watch.labels)).act == "rollback":
            return look
    return 0


def _live(ref: str, right: int, rows: int) -> guard.Live:
    return guard.Live(ref=ref, metric="accuracy", value=right / rows, interval=wilson(right, rows), rows=rows)


def row(watch: Watch, *, runs: int) -> str:
    """A row of the table."""
    dice = np.random.default_rng(0)
    equal = sum(first_rollback(dice, watch, 0.0) > 0 for _ in range(runs))
    cells = [f"{100 * equal / runs:.1f} %"]
    for drop in DROPS:
        found = [look for _ in range(runs) if (look := first_rollback(dice, watch, drop))]
        share = f"{100 * len(found) / runs:.0f} %"
        cells.append(f"{share}, after {statistics.median(found):.0f} looks" if found else share)
    return f"| {watch.words} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, and write it to docs/retraining.md if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="write the table to docs/retraining.md")
    options = parser.parse_args()
    drops = " | ".join(f"worse by {drop:.2f}" for drop in DROPS)
    text = f"| it looks | equal: taken back by chance | {drops} |\n|---|---|{'---|' * len(DROPS)}\n"
    text += "".join(f"{row(watch, runs=options.runs)}\n" for watch in WATCHES)
    print(text, end="")
    if options.write:
        write(DOCS.with_name("retraining.md"), text, begin=BEGIN, end=END)


if __name__ == "__main__":
    main()
