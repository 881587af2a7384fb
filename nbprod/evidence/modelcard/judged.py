"""What was said of a version after it was made: what the gates found, how far groups are apart, who moved what."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbprod.entities import Statement
from nbprod.evidence.modelcard.blocks import Block, Mono, Note, Number, Pairs, Plot, Section, Table, Text, Verdict
from nbprod.evidence.modelcard.measured import by_column
from nbprod.evidence.modelcard.plots import Row, forest
from nbprod.evidence.modelcard.words import bounds, interval, real, shown, when
from nbprod.evidence.statements import APPROVAL, GATES, PROMOTION, REGISTRATION, REPRODUCTION

WORTH = {
    "ok": "signed by a key that is trusted here", "unpinned": "signed by a key that is not known here",
    "revoked": "signed by a key that is revoked", "unsigned": "not signed", "bad": "its signature is wrong",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement, and what its signature is worth.

    Attributes:
        key: id of the key that it says it was signed with.
        state: as of `nbprod.trust.envelope.Vouched`.
    """

    statement: Statement
    key: str
    state: str


def registered_by(said: Sequence[Said]) -> str:
    """Who registered the version, as somebody trusted says if there is such a statement."""
    for item in sorted(said, key=lambda item: item.state != "ok"):
        if item.statement.schema == REGISTRATION:
            by = item.statement.body.get("by")
            user = str(by.get("user") or "") if isinstance(by, Mapping) else ""
            return f"{user or 'unknown'}, {f'key {item.key}, ' if item.key else ''}{WORTH[item.state]}"
    return "unknown"


def newest_gates(said: Sequence[Said]) -> Said | None:
    """What the gates found last: of those with a trusted signature if there are any; never one that was changed."""
    found = [item for item in said if item.statement.schema == GATES and item.state != "bad"]
    trusted = [item for item in found if item.state == "ok"]
    return max(trusted or found, key=lambda item: item.statement.created, default=None)


def results_of(said: Said | None) -> tuple[Mapping[str, Any], ...]:
    """The results that a statement holds."""
    results = said.statement.body.get("results") if said else None
    return tuple(item for item in results if isinstance(item, Mapping)) if isinstance(results, list) else ()


def gates(entry: Mapping[str, Any], said: Sequence[Said]) -> Section:
    """What the gates found, as a table."""
    newest = newest_gates(said)
    results = results_of(newest)
    if newest is None or not results:
        asked = entry["pipeline"]["sections"].get("gates")
        text = "They were never run." if asked else "None: its pipeline asks for no gates, so nothing had to hold."
        return Section(title="Gates", blocks=(Note(text=text),))
    head = ("gate", "verdict", "observed", "interval", "required", "reason")
    rows = [
        (
            _title(result),
            Verdict(result.get("verdict", "unknown")),
            shown(result.get("observed")),
            Number(interval(result.get("interval"))),
            shown(result.get("required")),
            str(result.get("reason") or "-"),
        )
        for result in results
    ]
    held = newest.statement.body.get("champion")
    facts = [("Run", when(newest.statement.created)), ("Held against", str(held or "no champion"))]
    facts.append(("Result", f"{sum(r.get('verdict') == 'passed' for r in results)} of {len(results)} passed"))
    blocks: list[Block] = [Pairs(rows=facts), Table(head=head, rows=rows)]
    if newest.state != "ok":
        blocks.append(Note(text=f"Take these results with care: the statement is {WORTH[newest.state]}."))
    return Section(title="Gates", blocks=blocks)


def _title(result: Mapping[str, Any]) -> str:
    """A gate with the options that tell it from its like."""
    options = result.get("options")
    known = options if isinstance(options, Mapping) else {}
    return " ".join(
        [str(result.get("gate")), *(str(known[key]) for key in ("metric", "by", "dataset") if known.get(key))]
    )


def fairness(said: Sequence[Said]) -> Section:
    """What the gates measured in each group, with how far groups are apart."""
    blocks: list[Block] = []
    for result in results_of(newest_gates(said)):
        details = result.get("details")
        groups = details.get("groups") if isinstance(details, Mapping) else None
        if isinstance(groups, Mapping) and groups:
            blocks += _groups(result, groups, number=len(blocks))
    if not blocks:
        text = "Unknown: no gate compared groups of rows, so whether the model treats people alike was not judged."
        blocks = [Note(text=text)]
    return Section(title="Fairness", blocks=blocks)


def _groups(result: Mapping[str, Any], groups: Mapping[str, Any], *, number: int) -> Iterator[Block]:
    """The groups of one gate."""
    options = result.get("options")
    metric = options.get("metric") if isinstance(options, Mapping) else None
    title = f"{metric or 'selection_rate'} by {', '.join(map(str, groups))}"
    yield Text(text=f"{title}: {result.get('verdict')}; {result.get('reason')}")
    found = [(str(column), group) for column, listed in groups.items() for group in _listed(listed)]
    rows = [
        (
            f"{column}={group.get('group')}",
            Number(shown(group.get("rows"))),
            Number(shown(group.get("value"))),
            Number(shown(group.get("among"))),
            Number(interval(group.get("interval"))),
            "yes" if group.get("enough", True) else "no, too few rows",
        )
        for column, group in found
    ]
    yield Table(head=("group", "rows", "value", "out of", "interval", "compared"), rows=rows)
    plotted = [(column, _row(group)) for column, group in found if _finite(group.get("value"))]
    if plotted:
        few = any(row.few for _, row in plotted)
        label = f"{title}, with intervals{'; groups of too few rows are hollow' if few else ''}"
        yield Plot(name=f"fair {number} {title}", title=label, svg=forest(label, by_column(plotted)))


def _listed(groups: Any) -> list[Mapping[str, Any]]:
    return [group for group in groups if isinstance(group, Mapping)] if isinstance(groups, list) else []


def _finite(value: Any) -> bool:
    number = real(value)
    return number is not None and math.isfinite(number)


def _row(group: Mapping[str, Any]) -> Row:
    low, high = bounds(group.get("interval")) or (None, None)
    few = not group.get("enough", True)
    return Row(label=str(group.get("group")), value=real(group.get("value")), low=low, high=high, few=few)


def story(said: Sequence[Said]) -> Iterator[Section]:
    """Every statement in a line; nothing if there is none."""
    if not said:
        return
    rows = [
        (
            when(item.statement.created),
            _kind(item.statement.schema),
            _summary(item.statement),
            Mono(item.key) if item.key else "-",
            Verdict(item.state),
        )
        for item in said
    ]
    yield Section(
        title="What was said of it", blocks=(Table(head=("time", "what", "in short", "key", "signature"), rows=rows),)
    )


def _kind(schema: str) -> str:
    return schema.removeprefix("nbprod/").partition("/")[0]


def _summary(statement: Statement) -> str:
    """What a statement says, in a few words."""
    body, schema = statement.body, statement.schema
    if schema == REGISTRATION:
        return f"as {body.get('name')}/{body.get('version')}"
    if schema == GATES:
        results = body.get("results")
        count = len(results) if isinstance(results, list) else 0
        return f"{count} gates, {'all passed' if body.get('passed') else 'not all passed'}"
    if schema == PROMOTION:
        overrides = body.get("overrides")
        named = f", overriding {', '.join(map(str, overrides))}" if isinstance(overrides, list) and overrides else ""
        return f"{body.get('alias')}: {body.get('reason') or 'no reason given'}{named}"
    if schema == APPROVAL:
        return str(body.get("reason") or "no reason given")
    return f"{body.get('verdict')}: {body.get('reason')}" if schema == REPRODUCTION else "-"
