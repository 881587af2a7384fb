"""What retraining policies are worth on a stream whose concept drifts: ``python -m benchmarks.staleness --wheel FILE``.

The stream is the price of electricity in New South Wales, 45,312 half hours (``elec.csv``, from the wheel of
scikit-multiflow 0.4.1; nothing else of it is used). Every policy is played through day by day with the same models, a
logistic regression on the last weeks, and decides with nbprod's own `decide`, `judge` and paired comparison. What is
told is the mean over four lengths of memory and six first days, because one of them alone is mostly luck. Defaults are
chosen on the first third of the days only. A second part shows the gate against forgetting on regimes that come again.
"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbprod.retraining.decide import Alarm, Facts, decide
from nbprod.retraining.policy import DAY, RetrainPolicy
from nbprod.retraining.reservoir import sample
from nbprod.stats.intervals import wilson
from nbprod.stats.measures import MEASURES
from nbprod.stats.paired import compare, judge

Array = np.ndarray[Any, Any]

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs/retraining.md"
CENSUS = ROOT / "notebooks/data/census_employment_ma.parquet"
BEGIN, END = "<!-- staleness: begin -->", "<!-- staleness: end -->"
MEMBER = "skmultiflow/data/datasets/elec.csv"

ROWS = 48
"""Half hours of a day."""

MEMORY = (30, 45, 60, 90)
FIRST = range(60, 90, 5)
MONTH = 30
MIN_ROWS = 100
"""As in monitoring's policy: fewer labels of a window are not judged."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Days of rows, in their order."""

    x: Array
    y: Array

    @property
    def days(self) -> int:
        """How many whole days there are."""
        return len(self.y) // ROWS


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a policy: for each day since the first the share of right answers; and days of retraining."""

    first: int
    right: Array
    retrained: tuple[int, ...]
    promoted: tuple[int, ...] = ()

    def between(self, start: int, end: int) -> tuple[float, float, float]:
        """Accuracy, retrainings and promotions on some days."""
        counts = [sum(start <= day < end for day in days) for days in (self.retrained, self.promoted)]
        return float(self.right[max(start - self.first, 0) : end - self.first].mean()), *map(float, counts)  # type: ignore[return-value]


class World:
    """The stream, and every model that could have been fitted on it: by the day and the length of its memory."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.third = stream.days // 3
        self.fitted = cache(self._fitted)
        self.interval = cache(self._interval)

    def _fitted(self, day: int, memory: int) -> Array:
        """Which rows of the whole stream a model answers right; it learned from every other row of its memory."""
        known = self.known(day, memory)[::2]
        model = make_pipeline(StandardScaler(), LogisticRegression())
        model.fit(self.stream.x[known], self.stream.y[known])
        return np.asarray(model.predict(self.stream.x) == self.stream.y)

    def known(self, day: int, memory: int) -> Array:
        """The rows of the days before one."""
        return np.arange(max(day - memory, 0) * ROWS, day * ROWS)

    def held_out(self, day: int, memory: int) -> Array:
        """The rows of the memory that the model of that day did not learn from."""
        return self.known(day, memory)[1::2]

    def _interval(self, day: int, champion: int, memory: int) -> tuple[float, float]:
        """How much better the model of a day is than an older one, on the rows that the new one held out."""
        rows = self.held_out(day, memory)
        sides = self.fitted(day, memory)[rows], self.fitted(champion, memory)[rows]
        return compare(MEASURES["accuracy"], np.ones(len(rows), dtype=bool), *sides, resamples=200).interval

    def passes(self, day: int, champion: int, memory: int, *, tolerance: float) -> bool:
        """Whether the gate lets the model of a day take the place of an older one."""
        return judge(self.interval(day, champion, memory), tolerance=tolerance) in ("better", "not worse")

    def on(self, day: int, champion: int, memory: int) -> float:
        """The share of right answers on a day."""
        return float(self.fitted(champion, memory)[day * ROWS : (day + 1) * ROWS].mean())


def scheduled(world: World, memory: int, first: int, *, every: int, gate: float | None = None) -> Played:
    """Retrained every so many days, 0 for never; with a gate of some tolerance, or with none."""
    champion, right = first, []
    retrained, promoted = [], []
    for day in range(first, world.stream.days):
        if every and day > first and (day - first) % every == 0:
            retrained.append(day)
            if gate is None or world.passes(day, champion, memory, tolerance=gate):
                champion = day
                promoted.append(day)
        right.append(world.on(day, champion, memory))
    return Played(first, np.array(right), tuple(retrained), tuple(promoted))


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen.

    Attributes:
        window: days of a window of monitoring.
        loss: how much worse than on its test rows a champion must surely be to fire.
        age: days after which it is too old whatever it does; 0 for never.
        gate: the tolerance of the comparison with the champion.
    """

    window: int
    loss: float
    age: int
    gate: float


OPTIONS: dict[str, tuple[float, ...]] = {
    "window": (3, 7, 14), "loss": (0.0, 0.02), "age": (0, 45, 60), "gate": (0.0, 0.01, 0.02),
}  # fmt: skip


def by_policy(world: World, memory: int, first: int, *, choice: Choice, late: int = 0) -> Played:
    """As nbprod decides: closed windows are looked at, a stale model is retrained, gated, and promoted."""
    age = choice.age * DAY or None
    policy = RetrainPolicy(when=("performance",), age=age, cool_down=MONTH * DAY, promote="when_gates_pass")
    champion, since = first, first
    right, retrained, promoted = [], list[int](), list[int]()
    for day in range(first, world.stream.days):
        last = max([first, *retrained])
        if day - last >= MONTH:  # before that it would only say that it waits
            facts = Facts(
                now=day * DAY,
                champion="price/1",
                registered=since * DAY,
                alarms=tuple(_alarms(world, memory, (champion, since, day - late), choice)),
                data="yes",
                last=last * DAY,
            )
            if decide(policy, facts).act == "retrain":
                retrained.append(day)
                if world.passes(day - late, champion, memory, tolerance=choice.gate):
                    champion, since = day - late, day
                    promoted.append(day)
        right.append(world.on(day, champion, memory))
    return Played(first, np.array(right), tuple(retrained), tuple(promoted))


def _alarms(world: World, memory: int, at: tuple[int, int, int], choice: Choice) -> Iterator[Alarm]:
    """What monitoring says of the last closed window: that the champion is surely worse than on its test rows.

    Args:
        at: the day of which the champion is, the one since which it answers, and the last one whose labels are there.
    """
    champion, since, day = at
    end = day // choice.window * choice.window
    answers = world.fitted(champion, memory)
    rows = answers[max(end - choice.window, since) * ROWS : end * ROWS]
    known = float(answers[world.held_out(champion, memory)].mean())
    if len(rows) >= MIN_ROWS and wilson(int(rows.sum()), len(rows))[1] < known - choice.loss:
        yield Alarm(area="performance", name="accuracy", why=f"{rows.mean():.3f}")


def updated(world: World, first: int, *, late: int = 0) -> Played:
    """Every day one pass over the newest day whose labels are there."""
    stream = world.stream
    scale = StandardScaler().fit(stream.x[: first * ROWS])
    model = SGDClassifier(loss="log_loss", alpha=1e-3, random_state=0)
    begin = scale.transform(stream.x[: first * ROWS]), stream.y[: first * ROWS]
    for _ in range(5):
        model.partial_fit(*begin, classes=[0, 1])
    right, days = [], []
    for day in range(first, stream.days):
        rows = slice(day * ROWS, (day + 1) * ROWS)
        right.append((model.predict(scale.transform(stream.x[rows])) == stream.y[rows]).mean())
        if day - late >= first:
            old = slice((day - late) * ROWS, (day - late + 1) * ROWS)
            model.partial_fit(scale.transform(stream.x[old]), stream.y[old])
            days.append(day)
    return Played(first, np.array(right), tuple(days), tuple(days))


Play = Callable[[int, int], Played]


def mean_of(world: World, play: Play, memories: Sequence[int] = MEMORY) -> dict[str, tuple[float, float, float]]:
    """Accuracy, retrainings and promotions in the first third, in the rest and in all, on average."""
    played = [play(memory, first) for memory, first in product(memories, FIRST)]
    spans = {"first": (0, world.third), "rest": (world.third, world.stream.days), "all": (0, world.stream.days)}
    return {
        name: tuple(np.mean([one.between(*span) for one in played], axis=0).tolist()) for name, span in spans.items()
    }


def chosen(world: World) -> tuple[Choice, str]:
    """The choice that does best on the first third, and how well each value did there.

    Each option gets the value that did best on average over all values of the others, since the best of all
    combinations is mostly luck. The cool-down is no option: with one of a month a policy never retrains more often than
    the monthly schedule that it is to beat, whatever the stream.
    """
    end = world.third * ROWS
    begun = World(Stream(world.stream.x[:end], world.stream.y[:end]))  # nothing later is there to be seen
    begun.third = begun.stream.days
    tried = [Choice(*values) for values in product(*OPTIONS.values())]  # type: ignore[arg-type]
    found = {choice: mean_of(begun, _played(begun, choice))["first"][0] for choice in tried}
    best, said = {}, []
    for name, values in OPTIONS.items():
        means = {v: float(np.mean([a for c, a in found.items() if getattr(c, name) == v])) for v in values}
        best[name] = max(means, key=lambda value: means[value])
        said.append(f"{name} " + ", ".join(f"{value:g}: .{round(1e4 * mean):04d}" for value, mean in means.items()))
    return Choice(**best), "; ".join(said)  # type: ignore[arg-type]


def against(world: World, one: Play, other: Play) -> str:
    """How one policy does against another on the same rows: by the runs that it wins."""
    pairs = list(product(MEMORY, FIRST))
    span = (world.third, world.stream.days)
    gains = [one(*pair).between(*span)[0] - other(*pair).between(*span)[0] for pair in pairs]
    return f"{np.mean(gains):+.4f} on average, better in {sum(gain > 0 for gain in gains)} of {len(gains)} runs"


def _played(world: World, choice: Choice, late: int = 0) -> Play:
    return lambda memory, first: by_policy(world, memory, first, choice=choice, late=late)


def staleness(world: World) -> str:
    """The table of policies."""
    choice, tried = chosen(world)
    rows: list[tuple[str, Play, Sequence[int]]] = [
        ("never retrained", lambda m, f: scheduled(world, m, f, every=0), MEMORY),
        ("monthly", lambda m, f: scheduled(world, m, f, every=MONTH), MEMORY),
        ("weekly challengers with a gate", lambda m, f: scheduled(world, m, f, every=7, gate=choice.gate), MEMORY),
        ("daily incremental update", lambda m, f: updated(world, f), MEMORY[:1]),
        ("the same, labels a week late", lambda m, f: updated(world, f, late=7), MEMORY[:1]),
        ("**nbprod's default policy**", _played(world, choice), MEMORY),
        ("the same, labels a week late", _played(world, choice, late=7), MEMORY),
    ]
    lines = ["| policy | first third | rest | all | retrained in the rest | promoted |", "|---|---|---|---|---|---|"]
    for name, play, memories in rows:
        found = mean_of(world, play, memories)
        marks = [f".{round(1000 * found[part][0]):03d}" for part in ("first", "rest", "all")]
        lines.append(f"| {name} | {' | '.join(marks)} | {found['rest'][1]:.1f} | {found['rest'][2]:.1f} |")
    lines += [
        "",
        f"Chosen on the first third: windows of {choice.window} days, a loss that is surely more than {choice.loss:g}, "
        f"an age of {choice.age} days, a gate with a tolerance of {choice.gate:g}; the cool-down is {MONTH} days. "
        f"Means there: {tried}.",
        "",
        f"nbprod's default against the monthly schedule on the rest: {against(world, rows[5][1], rows[1][1])}.",
    ]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Period:
    """A year's people of one regime: what is learned from, and what is held out."""

    name: str
    train: pd.DataFrame
    test: pd.DataFrame


def periods(rows: int = 12_000) -> list[Period]:
    """Two regimes that come again each year: people below 25, then all others."""
    census = pd.read_parquet(CENSUS)
    found = []
    for year in sorted(census["year"].unique().tolist()):
        own = census[census["year"] == year]
        for name, part in (("below 25", own[own["agep"] < 25]), ("25 and older", own[own["agep"] >= 25])):
            mixed = part.sample(min(rows, len(part)), random_state=year)
            found.append(Period(f"{year}, {name}", mixed.iloc[::2], mixed.iloc[1::2]))
    return found


def regimes() -> str:
    """The table of updates: what each forgets, and what the gate says of it; what does not pass is not gone on from."""
    own = periods()
    columns = [name for name in own[0].train.columns if name not in ("id", "year", "employed")]
    encode = OneHotEncoder(handle_unknown="ignore").fit(pd.concat([one.train for one in own])[columns])
    lines = ["| update on | alone: new | old | gate | with replay: new | old | gate |", "|---|---|---|---|---|---|---|"]
    chains: dict[str, list[Period]] = {"alone": [], "replay": []}
    models: dict[str, SGDClassifier | None] = dict.fromkeys(chains)
    for period in own:
        cells = [period.name]
        for name, chain in chains.items():
            rows, parent = period.train, models[name]
            if name == "replay" and chain:
                earlier = {f"{place:064x}": one.train for place, one in enumerate(chain)}
                rows = pd.concat([rows, sample(earlier, rows=10_000)])
            model = _learned(parent, encode.transform(rows[columns]), rows["employed"].to_numpy())
            cells += _told(model, parent, period, chain[-3:], lambda part: encode.transform(part[columns]))
            if cells[-1] in ("passed", "no parent"):
                models[name] = model
                chain.append(period)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _told(
    model: SGDClassifier,
    parent: SGDClassifier | None,
    period: Period,
    old: Sequence[Period],
    encode: Callable[[Any], Any],
) -> list[str]:
    """Accuracy on the new period, the worst on old ones, and what the gate ``forgetting`` says by its defaults."""

    def right(one: Period, by: SGDClassifier) -> Array:
        return np.asarray(by.predict(encode(one.test)) == one.test["employed"].to_numpy())

    new = f"{right(period, model).mean():.3f}"
    if parent is None:
        return [new, "-", "no parent"]
    pairs = [(right(one, model), right(one, parent)) for one in old]
    found = [compare(MEASURES["accuracy"], np.ones(len(mine), dtype=bool), mine, theirs) for mine, theirs in pairs]
    said = [judge(one.interval, tolerance=0.02) for one in found]
    verdict = "failed" if "worse" in said else "undecided" if "undecided" in said else "passed"
    return [new, f"{min(one.candidate for one in found):.3f}", verdict]


def _learned(parent: SGDClassifier | None, x: Any, y: Array) -> SGDClassifier:
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=0)
    if parent is not None:
        model.partial_fit(x[:2], y[:2], classes=[0, 1])
        model.coef_, model.intercept_, model.t_ = parent.coef_.copy(), parent.intercept_.copy(), parent.t_
    order = np.random.default_rng(0)
    for _ in range(5):
        mixed = order.permutation(len(y))
        model.partial_fit(x[mixed], y[mixed], classes=[0, 1])
    return model


def read_stream(wheel: Path) -> Stream:
    """The stream, from the wheel; nothing else of it is read."""
    with zipfile.ZipFile(wheel) as archive:
        table = pd.read_csv(io.BytesIO(archive.read(MEMBER)))
    whole = len(table) // ROWS * ROWS
    return Stream(table.iloc[:whole, :-1].to_numpy(), table.iloc[:whole, -1].to_numpy())


def main() -> int:
    """Play, print, and write the tables into the docs if asked to."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    fetch = "pip download --no-deps --only-binary :all: --python-version 3.6 scikit-multiflow==0.4.1"
    options.add_argument("--wheel", type=Path, required=True, help=f"the wheel; {fetch}")
    options.add_argument("--write", action="store_true", help="write the tables to docs/retraining.md")
    asked = options.parse_args()
    warnings.simplefilter("ignore")
    text = f"{staleness(World(read_stream(asked.wheel)))}\n\n{regimes()}"
    print(text)
    if asked.write:
        page = DOCS.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
