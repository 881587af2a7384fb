"""``nbprod register``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("register")
@click.argument("notebook", metavar="EXECUTED.ipynb")
@click.option("--name", required=True, help="Name of the model.")
@click.option("--model", metavar="PATH", help="An MLflow model folder or a .skops file; else the model that it logged.")
@click.option("--input", "inputs", multiple=True, metavar="NAME", help="A parameter that holds the path of data.")
@as_json
def command(notebook: str, name: str, model: str | None, inputs: tuple[str, ...], as_json: bool) -> None:
    """Register EXECUTED.ipynb, a notebook that papermill ran.

    What is measured only now is marked so; what cannot be known is `unknown`.
    """
    from nbprod.lifecycle.register import Registering, register

    version, new = register(Registering(notebook=notebook, name=name, model=model, inputs=inputs))
    if as_json:
        render.document({"version": {"name": version.name, "version": version.version}, "new": new})
        return
    state = click.style("registered", fg="green", bold=True) if new else "unchanged"
    click.echo(f"{state}: {click.style(version.ref, bold=True)}")
    render.next_step(render.shell("nbprod", "show", version.ref))
