"""``nbprod keys``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("keys")
@click.option(
    "--pin", "pinned", type=click.Path(exists=True, dir_okay=False), help="Trust the public key in a PEM file."
)
@click.option("--comment", default="", metavar="TEXT", help="Whose key it is; with --pin.")
@click.option("--revoke", metavar="ID", help="Trust a key no longer, whatever it signed.")
@click.option("--rotate", is_flag=True, help="Make a new key to sign with; what the old one signed stays good.")
@click.option("--public", is_flag=True, help="Print the public half of your own key, for others to pin.")
@as_json
def command(as_json: bool, **options: Any) -> None:
    """List the keys that you trust, and sign with; make one if there is none."""
    from nbprod.trust.keys import Keys

    keys = Keys()
    own = keys.rotate() if options["rotate"] else keys.own()
    if options["pinned"]:
        keys.pin(Path(options["pinned"]).read_text(encoding="utf-8"), comment=options["comment"])
    if options["revoke"]:
        keys.revoke(options["revoke"])
    if options["public"]:
        click.echo(own.public_pem.strip())
        return
    found = keys.all()
    if as_json:
        render.document([{"own": key.id == own.id, **key.to_dict()} for key in found])
        return
    rows = [
        (key.id, key.status, "own" if key.id == own.id else "-", key.created[:10], key.comment or "-") for key in found
    ]
    render.table(("KEY", "STATUS", "OWN", "SINCE", "WHOSE"), rows)
    render.next_step("nbprod keys --public", "for others to pin with `nbprod keys --pin FILE --comment WHOSE`")
