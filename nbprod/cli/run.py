"""``nbprod run``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json, settings_options
from nbprod.cli.plan import request

if TYPE_CHECKING:
    from nbprod.lifecycle.report import RunReport


@click.command("run")
@click.argument("target", metavar="[PIPELINE|NOTEBOOK]", required=False)
@settings_options
@click.option(
    "-s", "--stage", "stages", multiple=True, help="Only this stage and what it needs; nothing is registered."
)
@click.option("--name", help="Register the model under this name.")
@click.option("--force", is_flag=True, help="Run even what has not changed.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), help="How many stages run at once.")
@click.option("--no-register", is_flag=True, help="Do not register the model.")
@click.option("--save", is_flag=True, help="Write the pipeline file of a single notebook.")
@as_json
def command(target: str | None, as_json: bool, **options: Any) -> None:
    """Run PIPELINE, or a single NOTEBOOK, and register the model it makes.

    Stages whose code, parameters, data and environment did not change are reused. Without an argument the only
    pipeline under pipelines/ is run.
    """
    from nbprod.lifecycle.report import RunOptions
    from nbprod.lifecycle.run import run

    how = RunOptions(
        name=options["name"],
        jobs=options["jobs"] or 0,
        registering="no" if options["no_register"] else "yes",
        save="yes" if options["save"] else "no",
    )
    with ExitStack() as stack:
        from nbprod.cli.progress import watcher

        stack.enter_context(terminate_as_interrupt())
        watch = stack.enter_context(watcher(terminal=sys.stderr.isatty()))
        report = run(request(target, options), how, watch)
    if as_json:
        render.document(as_document(report))
    else:
        describe(report)
    if report.run.status != "succeeded":
        raise SystemExit(3)


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM stops kernels and is recorded, as Ctrl-C is."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def as_document(report: RunReport) -> dict[str, Any]:
    """The report as ``--json`` prints it."""
    stages = []
    for stage in report.run.stages:
        item: dict[str, Any] = {
            "name": stage.stage,
            "action": stage.action,
            "status": stage.status,
            "reasons": list(stage.reasons),
            "seconds": stage.seconds,
            "executed": stage.executed.uri if stage.executed else None,
        }
        if stage.error:
            item["error"] = stage.error.to_dict()
        stages.append(item)
    version = {"name": report.version.name, "version": report.version.version} if report.version else None
    document = {"run": report.run.id, "status": report.run.status, "stages": stages, "version": version}
    if report.results:
        document["gates"] = [result.to_dict() for result in report.results]
    return document


def describe(report: RunReport) -> None:
    """Print what became of a run, and what to type next."""
    for stage in report.run.stages:
        if stage.error is not None and stage.status == "failed":
            _failure(stage)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    version = report.version
    if version is not None:
        state = click.style("registered", fg="green", bold=True) if report.registered else "unchanged"
        click.echo(f"{state}: {click.style(version.ref, bold=True)}")
        if report.results:
            from nbprod.cli.verdicts import print_results

            print_results(report.results)
        render.next_step(render.shell("nbprod", "show", version.ref))
    elif report.run.status == "succeeded":
        first = report.run.stages[0]
        click.echo(f"run {report.run.id}: succeeded")
        render.next_step(render.shell("jupyter", "lab", f"runs/latest/{first.stage}.ipynb"))
    else:
        click.echo(f"run {report.run.id}: {render.word(report.run.status)}")
        bad = [s for s in report.run.stages if s.status == "failed" and s.executed]
        if bad and bad[0].executed:
            render.next_step(
                render.shell("jupyter", "lab", bad[0].executed.uri), "the failed notebook, with its parameters"
            )
        else:
            render.next_step("nbprod check")


def _source(source: str, failed: int) -> None:
    """The failed cell's code around the line that failed, which is marked."""
    lines = source.rstrip().splitlines()
    first = max(0, min(failed - 8, len(lines) - 14)) if failed else 0
    for number, line in enumerate(lines[first : first + 14], first + 1):
        mark = click.style(">", fg="red", bold=True) if number == failed else " "
        click.echo(f"  {mark} {number:>3} {click.style('|', dim=True)} {line}".rstrip(), err=True)


def _failure(stage: Any) -> None:
    """The failed cell: its number, its code, its error, and where the executed notebook is."""
    error = stage.error
    place = f", cell {error.cell}" if error.cell else ""
    click.echo(f"{click.style('failed:', fg='red', bold=True)} stage {stage.stage} ({stage.notebook}{place})", err=True)
    if error.source:
        _source(error.source, error.line)
    click.echo(f"  {click.style(error.message, bold=True)}", err=True)
    lines = error.traceback.splitlines()
    if not error.line and len(lines) > 1:
        click.echo("\n".join(f"  {line}" for line in lines[-12:]), err=True)
    if stage.pending:
        click.echo(f"  {stage.pending} later cells never ran.", err=True)
    if stage.executed:
        click.echo(f"  executed notebook: {stage.executed.uri}", err=True)
