"""``nbprod plan``."""

from __future__ import annotations

from typing import Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json, read_settings, settings_options


@click.command("plan")
@click.argument("target", metavar="[PIPELINE|NOTEBOOK]", required=False)
@settings_options
@click.option("-s", "--stage", "stages", multiple=True, help="Only this stage and what it needs.")
@click.option("--force", is_flag=True, help="Plan as if everything had changed.")
@as_json
def command(target: str | None, as_json: bool, **options: Any) -> None:
    """Say which stages of PIPELINE would run, and why."""
    from nbprod.lifecycle.plan import plan

    name, decisions = plan(request(target, options))
    if as_json:
        stages = [{"name": d.stage, "action": d.action, "reasons": list(d.reasons)} for d in decisions]
        render.document({"pipeline": name, "stages": stages})
        return
    render.table(
        ("STAGE", "ACTION", "WHY"),
        [(d.stage, render.word(d.action), "; ".join(d.reasons)) for d in decisions],
    )
    render.next_step(render.shell("nbprod", "run", *([target] if target else [])))


def request(target: str | None, options: dict[str, Any]) -> Any:
    """The options of ``plan`` and ``run`` as a request."""
    from nbprod.lifecycle.plan import Request

    return Request(
        target=target,
        settings=read_settings(options["parameters"], options["files"]),
        preset=options["preset"],
        stages=options["stages"],
        forced="yes" if options["force"] else "no",
        kernel=options["kernel"] or "",
        repeating="no" if options["no_repeats"] else "yes",
    )
