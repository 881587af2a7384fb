"""``nbprod export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("export")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.argument("target", metavar="FOLDER|FILE")
@click.option(
    "--format",
    type=click.Choice(["folder", "cyclonedx", "slsa"]),
    default="folder",
    show_default=True,
    help="A folder for nbprod import; a bill of materials; or signed provenance.",
)
@as_json
def command(ref: str, target: str, format: Any, as_json: bool) -> None:
    """Write a model version to FOLDER, with all that was said of it, for `nbprod import` elsewhere.

    With --format a FILE for other tools: CycloneDX 1.6 (ML-BOM) or SLSA provenance v1, signed with your key.
    """
    from nbprod.lifecycle.export import export

    done = export(ref, Path(target), format)
    if as_json:
        render.document(done.to_dict())
        return
    files = f"{done.files} files, " if done.format == "folder" else ""
    signed = f", signed with the key {done.key}" if done.key else ""
    click.echo(
        f"exported: {click.style(done.ref, bold=True)} -> {done.target}  ({files}{render.size(done.bytes)}{signed})"
    )
    what = ("verify", done.target) if done.format == "folder" else ("show", done.ref)
    render.next_step(render.shell("nbprod", *what))
