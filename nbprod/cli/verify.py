"""``nbprod verify``."""

from __future__ import annotations

from pathlib import Path

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

COLOURS = {"ok": "green", "FAIL": "red", "unknown": "yellow"}


@click.command("verify")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]|FOLDER")
@as_json
def command(ref: str, as_json: bool) -> None:
    """Hold a model version, or a registered folder, against everything that was recorded of it.

    Nothing is loaded or run. Exit code 4 when something is not as it was.
    """
    from nbprod.lifecycle.verify import verify

    found = verify(ref)
    if as_json:
        render.document({**found.to_dict(), "failed": found.failed})
    else:
        rows = [(check.name, click.style(check.state, fg=COLOURS[check.state]), check.why) for check in found.checks]
        render.table(("CHECK", "STATE", "WHY"), rows)
        if not found.failed:
            verb = "import" if Path(ref, "export.json").is_file() else "models" if Path(ref).is_dir() else "show"
            render.next_step(render.shell("nbprod", verb, *([] if verb == "models" else [found.ref])))
    if found.failed:
        raise SystemExit(4)
