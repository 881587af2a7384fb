"""``nbprod models``."""

from __future__ import annotations

from typing import Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("models")
@as_json
def command(as_json: bool) -> None:
    """List models, their versions, aliases and main metrics."""
    from nbprod.lifecycle.versions import models

    found = models()
    if as_json:
        render.document([_row(version) for version in found])
        return
    if not found:
        click.echo("no models yet")
        render.next_step("nbprod run")
        return
    rows = [
        (
            v.name,
            v.version,
            ", ".join(v.aliases) or "-",
            main_metric(v.entry) or "-",
            v.created[:16].replace("T", " "),
            v.run,
        )
        for v in found
    ]
    render.table(("MODEL", "VERSION", "ALIASES", "MAIN METRIC", "CREATED (UTC)", "RUN"), rows)
    render.next_step(render.shell("nbprod", "show", found[0].ref))


def main_metric(entry: dict[str, Any]) -> str:
    """The main metric of an entry in a few characters; the first one if none was named."""
    metrics = entry.get("metrics") or []
    wanted = (entry.get("model") or {}).get("main_metric")
    chosen = [m for m in metrics if m["name"] == wanted] or metrics
    return f"{chosen[0]['name']} {render.number(chosen[0]['value'])}" if chosen else ""


def _row(version: Any) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created": version.created,
        "run": version.run,
        "digest": version.digest,
        "metrics": version.entry.get("metrics", []),
    }
