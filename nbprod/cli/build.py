"""``nbprod build``."""

from __future__ import annotations

from pathlib import Path

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("build")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.argument("folder", metavar="FOLDER", type=click.Path(file_okay=False))
@click.option("--wheelhouse", "wheels", flag_value="all", default="own", help="Put every wheel in: no network later.")
@click.option(
    "--base", default="", metavar="IMAGE[@DIGEST]", help="The image to build on; with its digest it is pinned."
)
@click.option("--kubernetes", flag_value="yes", default="no", help="Put manifests in: Kustomize, and KServe.")
@click.option("--tracing", flag_value="yes", default="no", help="Put in what sends traces: OpenTelemetry.")
@as_json
def command(ref: str, folder: str, *, wheels: str, base: str, kubernetes: str, tracing: str, as_json: bool) -> None:
    """Make FOLDER a bundle: the model and all that serves it, proven in a clean environment.

    The same version gives the same bytes. A bundle that does not answer the recorded example as recorded is not made.
    """
    from nbprod.lifecycle.build import Wanted, build

    wanted = {"wheels": wheels, "base": base, "kubernetes": kubernetes, "tracing": tracing}
    built = build(ref, Path(folder), Wanted.from_dict(wanted))
    if as_json:
        return render.document(built.to_dict())
    click.echo(f"{folder}  {built.manifest.ref}, sha256 {built.digest[:12]}, {built.manifest.packages} packages")
    answered = f"answered {built.proof.rows} rows as recorded, " if built.proof.compared else ""
    click.echo(f"proven in a clean environment: {answered}ready in {render.seconds(built.proof.ready)}")
    render.next_step(render.shell("nbprod", "serve", folder))
