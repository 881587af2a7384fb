"""``nbprod rollback``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.moves import print_move
from nbprod.cli.options import as_json


@click.command("rollback")
@click.argument("name", metavar="NAME")
@click.option("--to", "alias", metavar="ALIAS", default="champion", show_default=True, help="The alias to move back.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit log.")
@as_json
def command(name: str, alias: str, reason: str, as_json: bool) -> None:
    """Move an alias back to the version that it pointed at before its last promotion."""
    from nbprod.lifecycle.rollback import rollback

    done = rollback(name, alias=alias, reason=reason)
    if as_json:
        render.document(done.to_dict())
        return
    print_move(done)
