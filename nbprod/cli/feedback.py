"""``nbprod feedback``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.lifecycle.feedback import Told


@click.command("feedback")
@click.argument("name", metavar="NAME")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--truth", metavar="COLUMN", help="The column with the truth; `truth` if there is one.")
@click.option(
    "--outcome", "outcomes", multiple=True, metavar="COLUMN", help="A column with a business outcome; can be repeated."
)
@as_json
def command(name: str, file: str, truth: str | None, outcomes: tuple[str, ...], as_json: bool) -> None:
    """Add what turned out to be true of predictions of a model, from CSV, Parquet or JSON lines.

    The file has a column `request`; `row` (for requests of several rows, from 0) and `time` are optional. It may be
    added again: what was said before is no second truth.
    """
    from nbprod.lifecycle.feedback import feedback

    told = feedback(name, file, truth=truth, outcomes=outcomes)
    if as_json:
        render.document(told.to_dict())
        return
    _print(told)
    render.next_step(render.shell("nbprod", "monitor", told.model))


def _print(told: Told) -> None:
    names = ", ".join(f"{name} {count:,}" for name, count in told.names.items())
    click.echo(f"{told.model}: {told.recorded:,} recorded of {told.rows:,} rows of {told.file} ({names or 'nothing'})")
    for count, what in (
        (told.empty, "rows without a value: left out"),
        (told.unknown, "rows whose request is not in the log: kept, but they belong to no prediction"),
        (told.unclear, "rows that do not say which row of their request they mean: kept, but not joined"),
        (told.duplicates, "said before: they count once"),
        (told.conflicts, "predictions of which different things were said: what was learned last holds"),
    ):
        if count:
            click.echo(f"{count:>8,}  {what}")
    for conflict in told.examples:
        row = "" if conflict.row is None else f" row {conflict.row}"
        values = ", ".join(json.dumps(json.loads(value), ensure_ascii=False) for value in conflict.values)
        click.echo(f"          {conflict.request}{row} {conflict.name or 'truth'}: {values}")
    for problem in told.problems:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {problem}", err=True)
