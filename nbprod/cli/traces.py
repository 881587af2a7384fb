"""What is known of a data subject, as it is told; an ID is never shown, only the beginning of its token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from nbprod.cli import render
from nbprod.evidence.tombstones import SHOWN

if TYPE_CHECKING:
    from nbprod.evidence.tombstones import Erased
    from nbprod.lifecycle.subject.erase import Done
    from nbprod.lifecycle.subject.erasures import Erasures
    from nbprod.lifecycle.subject.find import Learned, Place, Trace

COLOURS = {"holds": "red", "derived": "yellow", "unknown": "magenta"}
WHERE = {"data": "Data", "output": "Outputs of stages", "model": "Models as runs left them", "notebook": "Notebooks"}


def print_trace(found: Trace, *, title: str) -> None:
    """Print everything that is known of a subject."""
    tokens = ", ".join(token[:SHOWN] for token in found.tokens[:5]) + (" ..." if len(found.tokens) > 5 else "")
    click.echo(f"{click.style(title, bold=True)}  token {tokens}")
    for role, heading in WHERE.items():
        there = [place for place in found.places if place.role == role and (place.here or place.kept or role == "data")]
        _section(heading, [_place(place) for place in there])
    _section("Versions", [_version(version) for version in found.versions])
    _section("Aliases", [(alias, "points at a version that learned from the subject", "") for alias in found.aliases])
    logs = [(log.path, _state(log.state), f"{log.rows} predictions") for log in found.logs if log.state != "absent"]
    _section("Prediction logs", logs or [("no prediction log" if not found.logs else "none holds the subject", "", "")])
    if found.unknown:
        click.echo(f"\n{click.style('Unknown', bold=True)}")
        for line in found.unknown:
            click.echo(f"  {line}")
    if not (found.places or found.versions):
        but = ", but nobody can tell of what is unknown" if found.unknown else ""
        click.echo(f"\nNothing that is known here holds the subject{but}.")


def _section(heading: str, rows: list[tuple[str, str, str]]) -> None:
    if rows:
        click.echo(f"\n{click.style(heading, bold=True)}")
        widths = [max(len(click.unstyle(row[i])) for row in rows) for i in range(2)]
        for row in rows:
            cells = (cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=False))
            click.echo(f"  {'  '.join([*cells, row[2]])}".rstrip())


def _state(state: str) -> str:
    return click.style(state, fg=COLOURS.get(state))


def _place(place: Place) -> tuple[str, str, str]:
    here = "there" if place.here else "no longer there"
    words = [here, *(["kept in the store"] if place.kept else []), *place.roles]
    return place.uri, _state(place.state), ", ".join([*words, f"sha256 {place.sha256[:12]}"])


def _version(version: Learned) -> tuple[str, str, str]:
    how = ", ".join((*version.how, *(f"@{alias}" for alias in version.aliases)))
    children = f"{'; ' if how else ''}made from it: {', '.join(version.children)}" if version.children else ""
    return version.ref, _state(version.state), f"{how}{children}"


def print_erased(done: Done) -> None:
    """Print what an erasure did, and what is left to do."""
    state = "erased" if done.new else "erased before"
    click.echo(f"{click.style(state, fg='green', bold=True)}: tombstone {done.tombstone}")
    for line in done.deleted:
        click.echo(f"deleted: {line}")
    steps = list(_steps(done))
    if steps:
        click.echo(f"\n{click.style('Left to do', bold=True)}")
        for number, step in enumerate(steps, 1):
            click.echo(f"  {number}. {step}")
    if done.trace.unknown:
        click.echo(f"\n{click.style('Unknown', bold=True)}")
        for line in done.trace.unknown:
            click.echo(f"  {line}")
    render.next_step("nbprod subject close", "when all of it is done, the ID on standard input")


def _steps(done: Done) -> Iterator[str]:
    """What is left to do, in the order in which it is best done."""
    found = done.trace
    for place in found.places:
        if place.role == "data" and place.here and place.state == "holds":
            yield f"remove the rows of the subject from {place.uri}"
    for again in done.rebuild:
        name = again.seen.partition("/")[0]
        begin = f"from {again.start}" if again.start else "from nothing"
        count = len(again.affected)
        yield f"build {count} version{'s' * (count > 1)} again {begin}: {render.shell('nbprod', 'retrain', name)}"
    for target in done.retrain:
        yield f"train again: {render.shell('nbprod', 'run', target)}"
    for alias in found.aliases:
        name, _, word = alias.partition("@")
        yield f"move the alias: {render.shell('nbprod', 'promote', name, '--to', word)}"
    kept = sum(1 for place in found.places if place.kept and place.state in ("holds", "derived"))
    rows = sum(log.rows for log in found.logs)
    counts = ((kept, "in the store"), (len(found.copies), "in runs/"), (rows, "predictions"))
    if listed := ", ".join(f"{count} {what}" for count, what in counts if count):
        yield f"delete the copies ({listed}): nbprod subject erase --delete-copies --reason TEXT"
    for id in found.tracked:
        yield f"look into the MLflow run {id}, which a notebook made by itself: nbprod does not know what it logged"
    for version in found.versions:
        if version.state in ("holds", "derived"):
            yield f"delete {version.ref} in the registry by hand, when nothing needs it: nbprod never changes a version"


def print_erasures(found: Erasures) -> None:
    """Print all erasures, and what is wrong with their log."""
    rows = [_erased(item) for item in found.erased]
    render.table(("#", "TOKEN", "STATE", "SUBJECT KEY", "TIME (UTC)", "WHO", "WHY"), rows)
    for problem in found.problems:
        click.echo(f"{click.style('warning:', fg='red', bold=True)} {problem}", err=True)
    if found.open:
        render.next_step("nbprod subject close", "when nothing is left, the ID on standard input")
    else:
        render.next_step("nbprod subject find", "the ID on standard input")


def _erased(item: Erased) -> tuple[str, ...]:
    state = "open" if item.open else f"replaced by {item.replaced}" if item.replaced else f"closed {item.closed[:10]}"
    time = item.time[:16].replace("T", " ")
    return str(item.line), item.token[:SHOWN], state, item.subject_key[:SHOWN], time, item.user, item.reason
