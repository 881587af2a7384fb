"""``nbprod history``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from nbprod.evidence.audit import AuditLine


@click.command("history")
@click.argument("name", metavar="NAME")
@as_json
def command(name: str, as_json: bool) -> None:
    """Say who moved which alias of a model, when and why; and what was moved without nbprod.

    Exit code 4 when the log was tampered with.
    """
    from nbprod.lifecycle.history import history

    found = history(name)
    if as_json:
        render.document(found.to_dict())
    else:
        rows = [_row(line) for line in found.lines]
        render.table(("#", "TIME (UTC)", "WHO", "KEY", "WHAT", "WHY"), rows)
        for problem in (*found.problems, *found.moved):
            click.echo(f"{click.style('warning:', fg='red', bold=True)} {problem}", err=True)
        render.next_step(render.shell("nbprod", "models"))
    if found.problems:
        raise SystemExit(4)


def _row(line: AuditLine) -> tuple[str, ...]:
    before = f" (before: {line.before})" if line.before else ""
    what = f"{line.action} {line.model}/{line.version}" + (f" -> {line.alias}{before}" if line.alias else "")
    overrides = f"overrides {', '.join(line.overrides)}: " if line.overrides else ""
    time = line.time[:16].replace("T", " ")
    return str(line.seq), time, line.user, line.key[:8], what, f"{overrides}{line.reason}" or "-"
