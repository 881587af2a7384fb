"""Groups of rows, and which of them are too small, or have too few positives, to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbprod.entities import Fact
from nbprod.errors import UsageError
from nbprod.gates.words import label_name, number
from nbprod.stats.groups import MISSING

if TYPE_CHECKING:
    import pandas as pd

WORDS = {"share": "a share of ", "base_rate": "a base rate of "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Fact):
    """The rows of one group.

    Attributes:
        group: ``column=value``.
        share: of all rows.
        base_rate: the share of positives among its rows whose target is known; None where none is, or nobody asked.
    """

    group: str
    rows: int
    share: float
    base_rate: float | None = None

    @property
    def counts(self) -> bool:
        """Whether it is held to floors: rows of which the group is not known are no group."""
        return not self.group.endswith(f"={MISSING}")

    def value(self, name: str) -> float | None:
        """What a floor of that name is for."""
        found: float | None = getattr(self, name)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Low:
    """What is below a floor, and what is not known to be above it, each as a phrase."""

    short: tuple[str, ...]
    unknown: tuple[str, ...]


def groups_of(values: pd.Series[Any], hits: pd.Series[Any] | None, given: Sequence[Any]) -> tuple[Group, ...]:
    """The groups that a column's values make, and those that were given and are not among them, by name.

    Args:
        hits: whether each row is positive, as `base_hits` tells; None if no base rate is asked for.
    """
    names = values.astype(object).map(label_name, na_action="ignore").where(values.notna(), MISSING)
    counts = names.value_counts()
    found = []
    for name in sorted({*counts.index, *map(label_name, given)}):
        rows = int(counts.get(name, 0))
        known = hits[names == name].dropna() if hits is not None else ()
        found.append(
            Group(
                group=f"{values.name}={name}",
                rows=rows,
                share=rows / len(names) if len(names) else 0.0,
                base_rate=float(sum(known)) / len(known) if len(known) else None,
            )
        )
    return tuple(found)


def base_hits(target: pd.Series[Any], positive: Any, *, ref: str) -> pd.Series[Any]:
    """Whether each row's target is the positive one: 1, 0, or a gap where it is not known.

    Args:
        positive: its value; None for the higher of two.

    Raises:
        UsageError: none is the positive one.
    """
    names = target.astype(object).map(label_name, na_action="ignore")
    known = list(dict.fromkeys(label_name(value) for value in sorted(target.dropna().unique(), key=_order)))
    if positive is None and len(known) > 2:
        raise UsageError(f"the target of {ref} has {len(known)} values: name the one that counts with `positive:`.")
    if positive is not None and known and label_name(positive) not in known:
        raise UsageError(f"positive is '{positive}', which is no value of the target of {ref}.")
    wanted = label_name(positive) if positive is not None else known[-1] if known else ""
    return (names == wanted).astype(float).where(target.notna())


def _order(value: Any) -> tuple[int, Any, str]:
    return (1, 0, str(value)) if isinstance(value, str) else (0, value, "")


def too_low(groups: Sequence[Group], floors: Mapping[str, float]) -> Low:
    """Hold groups against floors; one without rows is always too low."""
    short, unknown = [], []
    for group in groups:
        if not group.counts:
            continue
        if not group.rows:
            short.append(f"{group.group} is not there")
            continue
        for name, floor in floors.items():
            value = group.value(name)
            if value is None:
                unknown.append(f"no row of {group.group} has a target")
            elif value < floor:
                unit = "" if name in WORDS else " row" if value == 1 else " rows"
                short.append(f"{group.group} has {WORDS.get(name, '')}{number(value)}{unit} and needs {number(floor)}")
    return Low(short=tuple(short), unknown=tuple(unknown))


def lowest(groups: Sequence[Group], name: str) -> float | None:
    """The lowest value of groups that a floor of some name is for; None where none is known."""
    return min((value for group in groups if (value := group.value(name)) is not None), default=None)
