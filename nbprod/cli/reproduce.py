"""``nbprod reproduce``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.evidence.compare import Compared

CODES = {"identical": 0, "within tolerance": 0, "different": 6, "cannot": 4}
COLOURS = {"identical": "green", "within tolerance": "green", "different": "red"}


@click.command("reproduce")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@click.option("--tolerance", type=float, default=0.01, show_default=True, help="By how much results may differ.")
@as_json
def command(ref: str, tolerance: float, as_json: bool) -> None:
    """Run the recipe of a model version again, from its commit, data and environment, and compare what comes out.

    Its code is executed. Exit code 6 when the result is different, 4 when it cannot be run again.
    """
    from nbprod.lifecycle.reproduce import reproduce

    found = reproduce(ref, tolerance=tolerance, tell=lambda line: click.echo(line, err=True))
    if as_json:
        render.document({**found.to_dict(), "version": found.version.ref})
    else:
        for label, text in (("code", found.code), ("environment", found.environment)):
            if text:
                click.echo(f"{label:<13}{text}")
        rows = [(c.what, c.agreement, c.recorded, c.found, c.note) for c in shown(found.compared)]
        if rows:
            render.table(("WHAT", "AGREEMENT", "RECORDED", "NOW", "NOTE"), rows)
        verdict = click.style(found.verdict, fg=COLOURS.get(found.verdict, "yellow"), bold=True)
        click.echo(f"{found.version.ref}: {verdict}. {found.reason}")
        gated = found.version.entry.get("pipeline", {}).get("sections", {}).get("gates")
        render.next_step(render.shell("nbprod", "gate" if gated else "show", found.version.ref))
    if code := CODES[found.verdict]:
        raise SystemExit(code)


def shown(compared: Sequence[Compared]) -> list[Compared]:
    """What is worth a line: metrics of groups are one line, as long as they are identical."""
    from nbprod.evidence.compare import Compared

    folded = [each for each in compared if "]/" in each.what and each.agreement == "identical"]
    lines = [each for each in compared if each not in folded]
    if folded:
        at = next((i for i, each in enumerate(lines) if "/" not in each.what), len(lines))
        lines.insert(at, Compared(what=f"{len(folded)} metrics of groups", agreement="identical"))
    return lines
