"""``nbprod watch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbprod.cli import render
from nbprod.cli.options import as_json
from nbprod.cli.run import terminate_as_interrupt

if TYPE_CHECKING:
    from nbprod.lifecycle.watch import Look


@click.command("watch")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All models that have a policy; so it is without a NAME.")
@click.option("--every", default="1h", show_default=True, metavar="TIME", help="How often a model is looked at.")
@click.option("--once", "only_once", is_flag=True, help="Look at each model once, then end.")
@as_json
def command(names: tuple[str, ...], everything: bool, every: str, only_once: bool, as_json: bool) -> None:
    """Monitor models, retrain those that are stale, and roll back a promotion after which live metrics fell.

    With --once the exit code is 3 when a retraining failed, 6 when a gate did not pass or a promotion was rolled back.
    """
    from nbprod.errors import UsageError
    from nbprod.lifecycle.watch import Watching, code_of, once, watch

    if everything and names:
        raise UsageError("name models or say --all, not both.")
    watching = Watching(names=names, every=every)
    with terminate_as_interrupt():
        if not only_once:
            watch(watching, tell=_line if not as_json else _json_line)
        looks = once(watching, tell=(lambda look: None) if as_json else _line)
    if as_json:
        render.document([look.to_dict() for look in looks])
    else:
        render.next_step(render.shell("nbprod", "models", "--health"))
    raise SystemExit(code_of(looks))


def _line(look: Look) -> None:
    from nbprod.lifecycle.watch import shown_time

    state = click.style(look.state, bold=True)
    click.echo(f"{shown_time(look)}  {look.name}  {look.status}  {state}  {look.reason}")
    if look.guarded:
        click.echo(f"{'':16}  {look.name}  guard: {look.guarded}")


def _json_line(look: Look) -> None:
    """One JSON document a line, since it never ends."""
    import json

    click.echo(json.dumps(look.to_dict()))
