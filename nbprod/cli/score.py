"""``nbprod score``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.lifecycle.score import Scored
    from nbprod.scoring.batch import Progress

REJECTED = 6
"""The exit code where rows were set aside: a check did not pass."""

SHOWN = 5


@click.command("score")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]|FOLDER")
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@click.option("--on-error", type=click.Choice(["fail", "quarantine"]), default="fail", show_default=True,
              help="End at the first bad row, or write bad rows to OUTPUT.rejected.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="COLUMN", help="Write a column of the input, too; '*' for all of them.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Do not look at a column of the input.")
@click.option("--proba", is_flag=True, help="Write the probability of each class, too.")
@click.option("--overwrite", is_flag=True, help="Replace an output that is there.")
@click.option("--engine", type=click.Choice(["local", "dask"]), default="local", show_default=True,
              help="Here, or on the workers of the configured Dask scheduler.")  # fmt: skip
@click.option("--predictions", type=click.Path(file_okay=False, path_type=Path), help="Folder of the logs.")
@as_json
def command(as_json: bool, **options: Any) -> None:
    """Score a CSV or Parquet file, a folder of them, a pattern or a URL of any size with a registered version.

    OUTPUT is one file if it ends in .parquet, .csv or .csv.gz, else a folder with a file for each one of INPUT. It
    appears when all of it is there. Exit code 6 when rows were set aside.
    """
    from nbprod.lifecycle.score import Wish, score

    with _watching() as watch:
        found = score(Wish(**options), watch)
    if as_json:
        render.document(found.to_dict())
    else:
        _print(found)
    if found.rejected:
        raise SystemExit(REJECTED)


def _print(found: Scored) -> None:
    files = f" of {found.files:,} files" if found.files > 1 else ""
    rate = f", {found.rows / found.seconds:,.0f} a second" if found.rows and found.seconds else ""
    click.echo(f"{click.style(found.ref, bold=True)} scored {_rows(found.rows)}{files} in "
               f"{render.seconds(found.seconds)}{rate}: {found.output}")  # fmt: skip
    if found.rejected:
        click.echo(f"{click.style('rejected', fg='red')} {_rows(found.rejected)}: {found.rejects}")
        for reason in found.reasons[:SHOWN]:
            where = f" in the column '{reason.column}'" if reason.column else ""
            click.echo(f"{reason.rows:>10,}  {reason.why}{where}")
        if more := found.reasons[SHOWN:]:
            click.echo(f"{sum(reason.rows for reason in more):>10,}  for other reasons")
    if found.ignored:
        click.echo(f"ignored, since the model has no such column: {', '.join(found.ignored)}")
    for note in found.notes:
        click.echo(f"{click.style('note:', fg='yellow')} {note}", err=True)
    _next(found)


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _next(found: Scored) -> None:
    from nbprod.scoring.parts import suffix_of

    if found.rejected:
        again = render.shell("nbprod", "score", found.ref, found.rejects, f"corrected{suffix_of(found.rejects)}")
        render.next_step(again, "after you corrected them")
    elif found.rows and "://" not in found.output and suffix_of(found.output) in (".parquet", ".csv", ".csv.gz"):
        name = found.ref.partition("/")[0]
        render.next_step(
            render.shell("nbprod", "feedback", name, found.output, "--truth", "COLUMN"), "once it says what was true"
        )
    else:
        render.next_step(render.shell("nbprod", "show", found.ref))


@contextmanager
def _watching() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, which is gone afterwards; nothing elsewhere."""
    import sys

    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    shown = Bar(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} rows"),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = shown.add_task("", total=None, rate="")

    def watch(progress: Progress) -> None:
        shown.start()  # not before: the version is looked for in a fork, which wants no threads
        speed = shown.tasks[0].speed or shown.tasks[0].finished_speed
        rate = f"{speed:,.0f} rows/s" if speed else ""
        shown.update(task, completed=progress.done, total=progress.total, description=progress.part, rate=rate)

    try:
        yield watch
    finally:
        shown.stop()
