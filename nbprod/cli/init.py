"""``nbprod init``."""

from __future__ import annotations

from pathlib import Path

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@as_json
def command(folder: str, as_json: bool) -> None:
    """Make a project in DIR: data, three notebooks and a pipeline that runs."""
    from nbprod.lifecycle.init import init

    written = init(Path(folder))
    if as_json:
        render.document({"folder": folder, "files": list(written)})
        return
    for name in written:
        click.echo(f"{folder.rstrip('/')}/{name}")
    render.next_step(f"cd {render.shell(folder)} && nbprod run")
