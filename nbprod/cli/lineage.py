"""``nbprod lineage``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbprod.evidence.lineage import Branch, Edge, Node
    from nbprod.lifecycle.lineage import Lineage

UP = {
    "made": "made by", "read": "read", "registered": "is the", "measured": "measured by", "beside": "beside it ran",
}  # fmt: skip
DOWN = {
    "made": "made", "read": "read by", "registered": "registered as", "measured": "measured", "beside": "ran beside",
    "alias": "alias",
}  # fmt: skip
"""Relation -> how it is told on the way up, and on the way down."""


@click.command("lineage")
@click.argument("what", metavar="NAME[/VERSION|@ALIAS]|DATA-FILE|SHA256")
@click.option("--mermaid", is_flag=True, help="Print a graph that GitHub, GitLab and JupyterLab draw.")
@as_json
def command(what: str, mermaid: bool, as_json: bool) -> None:
    """Say what made a model version; or which runs and versions read, wrote or learned from some data.

    A data file is read again, so its bytes count and not its name.
    """
    from nbprod.evidence import lineage as graphs
    from nbprod.lifecycle.lineage import lineage

    found = lineage(what)
    for note in found.notes:
        click.echo(f"{click.style('note:', fg='yellow')} {note}", err=True)
    if as_json:
        render.document(found.to_dict())
    elif mermaid:
        click.echo(graphs.mermaid(found.graph), nl=False)
    else:
        _print(found)
    _next(found)


def _next(found: Lineage) -> None:
    if found.kind == "version":
        render.next_step(render.shell("nbprod", "verify", found.subject))
    elif found.uses:
        render.next_step(render.shell("nbprod", "lineage", found.uses[0].version))
    else:
        render.next_step("nbprod runs")


def _print(found: Lineage) -> None:
    from nbprod.evidence.lineage import tree

    for root in found.roots:
        node = found.graph.by_id[root]
        said = f"{'registered ' if node.kind == 'version' else ''}{_facts(node)}"
        click.echo(f"{click.style(node.label, bold=True)}  {said}".rstrip())
        for title, way, words in (("it came of", "above", UP), ("of it came", "below", DOWN)):
            branches = list(tree(found.graph, root, way))[1:]  # type: ignore[arg-type]
            if branches:
                click.echo(click.style(title, dim=True))
            for branch in branches:
                click.echo(_line(branch, words))
    if found.uses:
        click.echo()
        rows = [
            (use.version, ", ".join(use.aliases) or "-", _uses(use), ", ".join(use.through) or "-")
            for use in found.uses
        ]
        render.table(("VERSION", "ALIASES", "USED FOR", "THROUGH"), rows)


def _uses(use: Any) -> str:
    inherited = f" (by its parent {use.parent})" if use.parent else ""
    return f"{', '.join(use.uses)}{inherited}"


def _line(branch: Branch, words: Mapping[str, str]) -> str:
    assert branch.edge is not None
    text = f"{'  ' * branch.depth}{_how(branch.edge, branch.node, words)}"
    if branch.again:
        return f"{text}  {click.style('(see above)', dim=True)}"
    return f"{text}  {_facts(branch.node)}".rstrip()


def _how(edge: Edge, node: Node, words: Mapping[str, str]) -> str:
    """The relation and the other end, such as ``read train: data/train.csv``."""
    label = click.style(node.label, bold=node.kind in ("version", "alias"))
    if edge.relation not in words:
        return f"{edge.relation} of {label}" if words is UP else f"parent of {label} ({edge.relation})"
    if node.kind == "model":
        return f"{words[edge.relation]} model {node.facts['sha256'][:12]}"
    if node.kind == "data":
        name = "" if edge.name in (node.label, "") else f" {edge.name}:"
        return f"{words[edge.relation]}{name} {label}"
    held = f" as {edge.name}" if edge.relation == "read" else ""
    return f"{words[edge.relation]} {label}{held}"


def _facts(node: Node) -> str:
    """What else is told of a node in its line."""
    facts = node.facts
    match node.kind:
        case "stage":
            failed = "" if facts.get("status") in ("succeeded", None) else f", {facts['status']}"
            return f"{facts.get('notebook', '')}, run {facts.get('run', '')}{failed}"
        case "data":
            return ", ".join(_data_facts(facts))
        case "model":
            return render.size(facts["bytes"]) if "bytes" in facts else ""
        case "version" if "created" in facts:
            return f"{facts['created'][:16].replace('T', ' ')} UTC, entry sha256 {facts['digest'][:12]}"
    return ""


def _data_facts(facts: Mapping[str, Any]) -> list[str]:
    said = []
    if "rows" in facts:
        said.append(f"{facts['rows']:,} rows")
    if "bytes" in facts:
        said.append(render.size(facts["bytes"]))
    said.append(f"sha256 {facts['sha256'][:12]}")
    match facts.get("card"):
        case "yes":
            said.append(f"licence {facts['licence']}")
        case "none":
            said.append("no card, so its licence is unknown")
    if "personal" in facts:
        more = f" and {len(facts['personal']) - 3} more" if len(facts["personal"]) > 3 else ""
        said.append(f"personal data: {', '.join(facts['personal'][:3])}{more}")
    return said
