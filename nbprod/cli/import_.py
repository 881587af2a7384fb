"""``nbprod import``."""

from __future__ import annotations

from pathlib import Path

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("import")
@click.argument("folder", metavar="FOLDER")
@as_json
def command(folder: str, as_json: bool) -> None:
    """Register a model version that `nbprod export` wrote, as the next version of its model; no alias moves.

    It must be signed with a key that is pinned here, and every byte must be the signed one.
    """
    from nbprod.lifecycle.import_ import import_version

    done = import_version(Path(folder))
    if as_json:
        facts = {**done.to_dict(), "version": done.version.ref, "digest": done.version.digest}
        render.document(facts)
        return
    word = "imported" if done.registered else "here already"
    click.echo(f"{word}: {click.style(done.version.ref, bold=True)}  (was {done.origin}, {done.statements} statements)")
    for note in done.notes:
        click.echo(f"{click.style('note:', fg='yellow')} {note}", err=True)
    render.next_step(render.shell("nbprod", "verify", done.version.ref))
