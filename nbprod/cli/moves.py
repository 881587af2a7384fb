"""An alias that was moved, as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbprod.cli import render

if TYPE_CHECKING:
    from nbprod.lifecycle.promote import Promoted


def print_move(done: Promoted) -> None:
    """Say which alias points where now, and where it did before."""
    before = f", before at version {done.before}" if done.before else ""
    click.echo(f"{click.style(done.alias, fg='green', bold=True)} points at {done.version.ref}{before}")
    render.next_step(render.shell("nbprod", "history", done.version.name))
