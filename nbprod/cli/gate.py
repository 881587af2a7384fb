"""``nbprod gate``."""

from __future__ import annotations

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.command("gate")
@click.argument("ref", metavar="NAME[/VERSION|@ALIAS]")
@as_json
def command(ref: str, as_json: bool) -> None:
    """Run the gates of a model version, and keep what they find beside it.

    Exit code 6 when one does not pass.
    """
    from nbprod.cli.verdicts import print_results
    from nbprod.lifecycle.gate import gate

    judged = gate(ref)
    if as_json:
        results = [result.to_dict() for result in judged.results]
        render.document({"version": judged.version.ref, "passed": judged.passed, "results": results})
    elif judged.results:
        print_results(judged.results)
        render.next_step(render.shell("nbprod", "promote" if judged.passed else "show", judged.version.ref))
    else:
        click.echo(f"{judged.version.ref} has no gates: write them under `gates:` in its pipeline")
        render.next_step("nbprod check")
    if judged.refusing:
        raise SystemExit(6)
