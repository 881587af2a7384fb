"""``nbprod runs``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("runs")
@click.option("-n", "--limit", default=20, show_default=True, help="How many, newest first.")
@as_json
def command(limit: int, as_json: bool) -> None:
    """List runs, newest first."""
    from nbprod.lifecycle.versions import runs

    found = runs(limit)
    if as_json:
        render.document([run.to_dict() for run in found])
        return
    if not found:
        click.echo("no runs yet")
        render.next_step("nbprod run")
        return
    rows = []
    for run in found:
        ran = sum(stage.action == "run" for stage in run.stages)
        stages = f"{ran} run, {len(run.stages) - ran} reused"
        rows.append((run.id, run.pipeline, render.word(run.status), render.seconds(run.seconds), stages))
    render.table(("RUN", "PIPELINE", "STATUS", "TIME", "STAGES"), rows)
    render.next_step(render.shell("ls", f"runs/{found[0].id}"), "executed notebooks and outputs")
