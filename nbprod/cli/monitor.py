"""``nbprod monitor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.lifecycle.health import Health
    from nbprod.monitoring.facts import MonitorReport

COLOURS = {"OK": "green", "INSUFFICIENT": "bright_black", "WARN": "yellow", "ALARM": "red", "ERROR": "red"}
BAD = {"alarm": ("ALARM", "ERROR"), "warn": ("ALARM", "WARN", "ERROR")}


@click.command("monitor")
@click.argument("name", metavar="NAME[/VERSION|@ALIAS]", required=False)
@click.option("--all", "all_", is_flag=True, help="Every model; one row each.")
@click.option("--since", default="", metavar="AGE|DAY", help="Look at the log from then on, such as 30d.")
@click.option("--window", default="", metavar="AGE", help="How long a window is, such as 1d.")
@click.option("--input", "files", multiple=True, type=click.Path(exists=True), help="Compare a file; not the log.")
@click.option("--labels", multiple=True, type=click.Path(exists=True), help="A file that says what was true.")
@click.option("--engine", type=click.Choice(["local", "dask"]), default="local", help="Where files are counted.")
@click.option("--predictions", multiple=True, metavar="URL", help="Where the logs are; .nbprod/predictions by default.")
@click.option("--html", metavar="FILE", help="Write a page with plots, which needs nothing else.")
@click.option("--prometheus", metavar="FILE", help="Write metrics in Prometheus's text format.")
@click.option("--webhook", metavar="URL|$NAME", help="Tell this webhook, and not the policy's.")
@click.option("--fail-on", type=click.Choice(["alarm", "warn"]), help="Exit with 6 if the status is that bad.")
@as_json
def command(name: str | None, fail_on: str | None, as_json: bool, **options: Any) -> None:
    """Say whether what runs is still like what was measured.

    It needs only the registry and the prediction log: the policy stands in the entry.
    """
    from nbprod.lifecycle.health import look

    found = look(name, **options)
    if as_json:
        render.document(found.document)
    elif found.report is not None:
        print_report(found.report, kept=found.kept, page=options["html"])
    else:
        print_health(found.rows)
    if fail_on and any(row.status in BAD[fail_on] for row in found.rows):
        raise SystemExit(6)


def status_word(text: str) -> str:
    """A status in its colour."""
    return click.style(text, fg=COLOURS.get(text))


def print_report(report: MonitorReport, *, kept: str, page: str | None = None) -> None:
    """A table of what was found, the worst first."""
    last = report.windows[-1] if report.windows else None
    rows = f"; the last window is {last.label} with {last.rows:,} rows" if last else ""
    counted = "1 window" if len(report.windows) == 1 else f"{len(report.windows)} windows"
    click.echo(f"{report.ref}: {status_word(report.status)}, {counted} of {report.source}{rows}")
    click.echo()
    checks = [(status_word(c.status), c.area, c.name, c.why) for c in report.checks]
    render.table(("STATUS", "AREA", "OF", "WHY"), checks)
    for problem in report.problems:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {problem}", err=True)
    click.echo(f"kept: {kept}", err=True)
    if page:
        click.echo(f"page: {page}", err=True)
    words = ("nbprod", "monitor", report.name, "--html", "monitor.html")
    render.next_step(render.shell(*words) if report.source == "log" else "nbprod models --health")


def print_health(rows: tuple[Health, ...]) -> None:
    """One row for each model."""
    if not rows:
        click.echo("no models yet")
        render.next_step("nbprod run")
        return
    table = [
        (
            row.name,
            f"{row.version or '-'}{'' if row.champion or not row.version else ' (no champion)'}",
            f"{row.age / 86400:.0f} d",
            row.owner or "-",
            row.checked[:16].replace("T", " ") or "never",
            status_word(row.status),
            row.why,
        )
        for row in rows
    ]
    render.table(("MODEL", "CHAMPION", "AGE", "OWNER", "LAST CHECK (UTC)", "STATUS", "WHY"), table)
    render.next_step(render.shell("nbprod", "monitor", rows[0].name))
