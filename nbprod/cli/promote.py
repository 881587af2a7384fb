"""``nbprod promote``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.moves import print_move
from nbprod.cli.options import as_json
from nbprod.errors import GateFailed


@click.command("promote")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.option("--to", "alias", metavar="ALIAS", default="champion", show_default=True, help="The alias to move.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit log.")
@click.option(
    "--override", "overrides", multiple=True, metavar="GATE", help="A gate that need not pass; needs --reason."
)
@as_json
def command(ref: str, alias: str, reason: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Run the gates of a model version and, if they pass, move an alias to it.

    The alias `challenger` moves without gates. Exit code 6 when a gate does not pass.
    """
    from nbprod.cli.verdicts import print_results
    from nbprod.lifecycle.promote import Promoting, promote

    try:
        done = promote(Promoting(ref=ref, alias=alias, reason=reason, overrides=overrides))
    except GateFailed as error:
        if error.results:
            print_results(error.results, overrides=overrides, err=True)
        raise
    if as_json:
        render.document(done.to_dict())
        return
    if done.results:
        print_results(done.results, overrides=done.overrides)
    print_move(done)
