"""``nbprod fetch``."""

from __future__ import annotations

from pathlib import Path

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("fetch")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.argument("dataset", required=False)
@click.option(
    "--to", "target", type=click.Path(file_okay=False), default=".", show_default=True, help="Folder to write to."
)
@as_json
def command(ref: str, dataset: str | None, target: str, as_json: bool) -> None:
    """Get the exact bytes of DATASET back, or of every dataset that was kept.

    DATASET is a name or a role that `nbprod show` prints, such as train.
    """
    from nbprod.lifecycle.versions import fetch

    version, found = fetch(ref, dataset, Path(target))
    if as_json:
        render.document([item.to_dict() for item in found])
        return
    for item in found:
        click.echo(f"{item.path}  {render.size(item.bytes)}, sha256 {item.sha256[:12]}")
    if not found:
        click.echo(f"{version.ref} kept no data")
    render.next_step(render.shell("nbprod", "show", version.ref))
