"""``nbprod check``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("check")
@click.argument("pipeline", required=False)
@as_json
def command(pipeline: str | None, as_json: bool) -> None:
    """Say what is wrong with PIPELINE, without running it.

    Errors exit with 2; warnings are printed and exit with 0.
    """
    from nbprod.lifecycle.check import check

    report = check(pipeline)
    if as_json:
        render.document(report.to_dict())
    else:
        for warning in report.warnings:
            click.echo(f"{click.style('warning:', fg='yellow')} {warning}")
        for error in report.errors:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {error['text']}", err=True)
        if not report.errors:
            click.echo(f"{report.pipeline}: {report.stages} stage{'' if report.stages == 1 else 's'}, nothing wrong.")
            render.next_step(render.shell("nbprod", "plan", *([pipeline] if pipeline else [])))
    if report.errors:
        raise SystemExit(2)
