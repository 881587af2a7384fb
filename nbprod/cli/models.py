"""``nbprod models``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.entities import ModelVersion


@click.command("models")
@click.option("--health", is_flag=True, help="One row for each model: how it was when it was last looked at.")
@as_json
def command(health: bool, as_json: bool) -> None:
    """List models, their versions, aliases and main metrics."""
    if health:
        _health(as_json)
        return
    from nbprod.lifecycle.versions import models

    found = models()
    if as_json:
        render.document([_row(version) for version in found])
    else:
        _list(found)


def _health(as_json: bool) -> None:
    from nbprod.cli.monitor import print_health
    from nbprod.lifecycle.health import health

    found = health()
    if as_json:
        render.document([row.to_dict() for row in found])
    else:
        print_health(found)


def _list(found: Sequence[ModelVersion]) -> None:
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
