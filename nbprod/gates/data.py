"""Gates of the data that a version learned from and was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from nbprod.entities import GateResult, Verdict
from nbprod.errors import UsageError, nearest
from nbprod.gates.contender import Contender
from nbprod.gates.floors import base_hits, groups_of, lowest, too_low
from nbprod.gates.overlap import standing_in, unlike
from nbprod.gates.permission import permitted
from nbprod.gates.table import TableSchema, check_table
from nbprod.gates.words import several

if TYPE_CHECKING:
    import pandas as pd


def data_valid(
    candidate: Contender,
    champion: Contender | None,
    *,
    dataset: str,
    columns: Mapping[str, Any] | None = None,
    rows: Mapping[str, int] | None = None,
    unique: list[Any] | None = None,
    extra: Literal["allow", "refuse"] = "allow",
) -> GateResult:
    """A dataset looks as it must (see `nbprod.gates.table`).

    Args:
        dataset: its role or name.
        columns: name -> rules, in pandera's words, such as ``{age: {dtype: int, in_range: [0, 120]}}``.
        rows: ``{min, max}``.
        unique: columns that are unique together, or a list of such lists.
        extra: whether columns that are not named may be there.
    """
    schema = TableSchema.read({"columns": columns, "rows": rows, "unique": unique, "extra": extra})
    problems = check_table(candidate.path(dataset), schema, label=dataset)
    more = f" There are {len(problems) - 1} more such problems." if len(problems) > 1 else ""
    return GateResult(
        gate="data_valid",
        verdict="failed" if problems else "passed",
        reason=f"{problems[0]}{more}" if problems else f"{dataset} looks as it must.",
        observed=f"{len(problems)} problems",
        required="0 problems",
        details={"problems": list(problems)},
    )


def no_leakage(
    candidate: Contender,
    champion: Contender | None,
    *,
    key: str | list[str] | None = None,
    of: str = "test",
    against: str = "train",
    share: float = 0.0,
) -> GateResult:
    """The rows that a version was measured on are none of those that it learned from.

    Rows that stand twice within one set are no leak.

    Args:
        key: columns whose values tell that two rows are the same, such as a customer's number; rows in which one is
            missing do not count. Without it, whole rows are compared in the columns that both sets have: a column
            that only numbers the rows then hides every leak, and in a table of few different rows some are equal
            by chance.
        share: of the rows, so many may be in both sets, 0 to 1.
    """
    mine, theirs = candidate.rows(of), candidate.rows(against)
    columns = _shared_columns(candidate, key, {of: mine, against: theirs})
    if key is not None:
        mine, theirs = mine.dropna(subset=columns), theirs.dropna(subset=columns)
    required = f"at most {share:g}"
    if reason := _incomparable(columns, {of: mine, against: theirs}):
        return GateResult(gate="no_leakage", verdict="undecided", reason=reason, required=required)
    shared = int(standing_in(mine, theirs, columns).sum())
    found = shared / len(mine)
    what = "are" if key is None else f"have values of {', '.join(columns)} that are"
    return GateResult(
        gate="no_leakage",
        verdict="failed" if found > share else "passed",
        reason=(
            f"{shared:,} of {len(mine):,} rows of {of} ({found:.2%}) {what} in {against} as well"
            + (f", and {share:.2%} may." if found > share else ".")
        ),
        observed=found,
        required=required,
        details={"rows": len(mine), "shared": shared, "share": found, "columns": columns},
    )


def _shared_columns(candidate: Contender, key: str | list[str] | None, sets: Mapping[str, pd.DataFrame]) -> list[str]:
    if key is None:
        first, second = sets.values() if len(sets) == 2 else (*sets.values(), *sets.values())
        return [name for name in first.columns if name in second.columns]
    columns = [key] if isinstance(key, str) else list(key)
    if not columns:
        raise UsageError("the gate no_leakage has an empty key: name a column, or leave the key out.")
    for role in sets:
        for name in columns:
            _column(candidate, role, sets[role], name)
    return columns


def _column(candidate: Contender, role: str, rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in rows.columns:
        known = map(str, rows.columns)
        raise UsageError(f"the dataset '{role}' of {candidate.ref} has no column '{name}'.{nearest(name, known)}")
    return rows[name]


def _incomparable(columns: list[str], sets: Mapping[str, pd.DataFrame]) -> str:
    """Why two sets say nothing about each other; empty if they do."""
    if not columns:
        return f"{' and '.join(sets)} have no column in common."
    if empty := [role for role, rows in sets.items() if not len(rows)]:
        return f"{empty[0]} has no rows in which {', '.join(columns)} is known."
    first, second = sets.values()
    reason = unlike(first, second, columns)
    return f"The rows of {' and '.join(sets)} cannot be compared: {reason}." if reason else ""


def representation(
    candidate: Contender,
    champion: Contender | None,
    *,
    by: str | list[str],
    min_rows: int | None = None,
    min_share: float | None = None,
    min_base_rate: float | None = None,
    groups: list[Any] | Mapping[str, list[Any]] | None = None,
    positive: Any = None,
    dataset: str = "train",
) -> GateResult:
    """Every group has enough rows, and enough of them are positive, for a model to learn something about it.

    Rows whose group is missing are shown, and held to no floor.

    Args:
        by: columns of the dataset, which need not be features; each is looked at by itself.
        min_rows, min_share, min_base_rate: floors; a share is of all rows, a base rate of the group's.
        groups: values that must be there, beside those that are; for several columns a mapping of column to values.
        positive: the value of the target that counts; by default the higher of two.
    """
    columns = [by] if isinstance(by, str) else list(by)
    asked = {"rows": min_rows, "share": min_share, "base_rate": min_base_rate}
    floors = {name: float(floor) for name, floor in asked.items() if floor is not None}
    if not columns or not floors:
        raise UsageError("the gate representation needs by and one of min_rows, min_share, min_base_rate.")
    rows = candidate.rows(dataset)
    hits = None
    if min_base_rate is not None:
        hits = base_hits(_column(candidate, dataset, rows, candidate.target), positive, ref=candidate.ref)
    found = {
        column: groups_of(_column(candidate, dataset, rows, column), hits, _given(groups, column, columns))
        for column in columns
    }
    low = [too_low(facts, floors) for facts in found.values()]
    short, unknown = [text for each in low for text in each.short], [text for each in low for text in each.unknown]
    counted = [group for facts in found.values() for group in facts if group.counts]
    verdict, reason = _represented(short, unknown, counted=len(counted), dataset=dataset)
    return GateResult(
        gate="representation",
        verdict=verdict,
        reason=reason,
        observed={name: lowest(counted, name) for name in floors},
        required=dict(floors),
        details={column: [group.to_dict() for group in facts] for column, facts in found.items()},
    )


def _represented(short: list[str], unknown: list[str], *, counted: int, dataset: str) -> tuple[Verdict, str]:
    if short:
        return "failed", f"In {dataset}, {several(short)}."
    if unknown or not counted:
        return "undecided", f"Too little is known in {dataset}: {several(unknown) or 'it has no groups'}."
    return "passed", f"All {counted} groups of {dataset} are large enough."


def _given(groups: list[Any] | Mapping[str, list[Any]] | None, column: str, columns: list[str]) -> list[Any]:
    """The groups that must be there in one column."""
    if groups is None:
        return []
    if not isinstance(groups, Mapping):
        if len(columns) > 1:
            raise UsageError("groups must be a mapping of column to values where representation has several columns.")
        return groups
    for name in groups:
        if name not in columns:
            raise UsageError(f"groups names the column '{name}', which is not in by.{nearest(str(name), columns)}")
    values = groups.get(column, [])
    return values if isinstance(values, list) else [values]


def data_allowed(
    candidate: Contender,
    champion: Contender | None,
    *,
    licenses: list[str] | None = None,
    because: Mapping[str, str] | None = None,
) -> GateResult:
    """The data may be used for this: every dataset from outside has a card with a licence that is allowed.

    Columns that a card calls personal, sensitive or the subject are no features, unless the YAML says why. What is not
    known leaves a strict project undecided; in another it is a warning in the reason.

    Args:
        licenses: those that are allowed, and terms for cards without a licence; by default those of the project, and
            any where it names none.
        because: column -> why it is a feature.
    """
    allowed = list(candidate.rules.licenses if licenses is None else licenses)
    found = permitted(candidate.entry, allowed=allowed, because=because or {})
    verdict: Verdict = "passed"
    reason = "The licence of every dataset is allowed, and no feature needs a reason that it lacks."
    if found.refused:
        verdict, reason = "failed", f"{several(found.refused)}."
    elif found.unknown:
        verdict = "undecided" if candidate.rules.strict else "passed"
        reason = f"{'' if candidate.rules.strict else 'Warning: '}{several(found.unknown)}."
    return GateResult(
        gate="data_allowed",
        verdict=verdict,
        reason=reason,
        observed=f"{len(found.refused)} refused, {len(found.unknown)} unknown",
        required=", ".join(allowed) if allowed else "any licence",
        details={"datasets": found.datasets, "refused": list(found.refused), "unknown": list(found.unknown)},
    )
