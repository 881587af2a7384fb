"""``nbprod retrain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.lifecycle.retrain import Retrained

WORDS = {
    "fresh": "green", "wait": "yellow", "busy": "yellow", "would": "cyan", "unchanged": "green", "failed": "red",
    "refused": "red", "challenger": "cyan", "shadow": "cyan", "promoted": "green",
}  # fmt: skip


@click.command("retrain")
@click.argument("name", metavar="NAME")
@click.option("--if-stale", is_flag=True, help="Only if a trigger of its policy fires.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@as_json
def command(name: str, if_stale: bool, dry_run: bool, as_json: bool) -> None:
    """Run the recipe of a model's champion on new data, judge what comes out, and promote it if its policy says so.

    Exit code 3 when it failed, 6 when a gate of the challenger did not pass.
    """
    from nbprod.lifecycle.retrain import Asking, exit_code, retrain

    asking = Asking(name=name, when="if_stale" if if_stale else "now", acting="no" if dry_run else "yes")
    found = retrain(asking, tell=lambda line: click.echo(line, err=True))
    if as_json:
        render.document(found.to_dict())
    else:
        describe(found)
    raise SystemExit(exit_code(asking, found))


def describe(found: Retrained) -> None:
    """Print what happened, and what to type next."""
    from nbprod.cli.verdicts import print_results

    if found.results:
        print_results(found.results)
    shown = click.style("would retrain" if found.state == "would" else found.state, fg=WORDS[found.state], bold=True)
    click.echo(f"{found.name}: {shown}: {found.reason}")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    steps = {
        "would": ("nbprod", "retrain", found.name, *(("--if-stale",) if found.trigger != "asked" else ())),
        "challenger": ("nbprod", "promote", found.version),
        "refused": ("nbprod", "show", found.version),
    }
    render.next_step(render.shell(*steps.get(found.state, ("nbprod", "history", found.name))))
