"""``nbprod approve``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("approve")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept beside the version and in the audit log.")
@as_json
def command(ref: str, reason: str, as_json: bool) -> None:
    """Say that you approve of a model version; the gate `approved` counts it."""
    from nbprod.lifecycle.approve import approve

    version = approve(ref, reason=reason)
    if as_json:
        render.document({"version": version.ref, "reason": reason})
        return
    click.echo(f"approved: {click.style(version.ref, bold=True)}")
    render.next_step(render.shell("nbprod", "promote", version.ref))
