"""``nbprod subject``: find, erase, close and list data subjects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nbprod.cli import render
from nbprod.cli.options import as_json


@click.group("subject")
@as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Find the data of a person, erase, and prove that nothing is left.

    An ID that is given as an argument stays in the shell's history: give it on standard input or in a file instead.
    """
    ctx.default_map = {name: {"as_json": as_json} for name in ("find", "erase", "close", "list")}


def ids_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The subjects: as arguments, in a file, one a line on standard input, or asked for unseen."""
    function = click.option(
        "--file",
        "file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        help="A file of IDs, one a line.",
    )(function)
    return click.argument("ids", metavar="[ID]...", nargs=-1)(function)


def read_ids(ids: tuple[str, ...], file: str | None) -> tuple[str, ...]:
    """The IDs, wherever they come from."""
    if file and file != "-":
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    elif ids and not file:
        return ids
    elif sys.stdin.isatty():
        lines = [click.prompt("ID", hide_input=True, err=True)]
    else:
        lines = sys.stdin.read().splitlines()
    return (*ids, *(line for line in lines if line.strip()))


@command.command("find")
@ids_option
@as_json
def find_command(ids: tuple[str, ...], file: str | None, as_json: bool) -> None:
    """Say where a subject's data are, and which models learned from them."""
    from nbprod.cli.traces import print_trace
    from nbprod.lifecycle.subject.find import find

    found = find(read_ids(ids, file))
    if as_json:
        render.document([{**each.to_dict(), "aliases": list(each.aliases)} for each in found])
        return
    for number, each in enumerate(found, 1):
        print_trace(each, title=f"subject {number} of {len(found)}" if len(found) > 1 else "subject")
    if any(each.places for each in found):
        render.next_step("nbprod subject erase --reason TEXT", "the ID on standard input, as here")


@command.command("erase")
@ids_option
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the log, so without the ID.")
@click.option("--delete-copies", is_flag=True, help="Delete what nbprod itself keeps: store, runs, prediction logs.")
@click.option("--replaces", multiple=True, type=int, metavar="N", help="A tombstone whose subject key is lost.")
@as_json
def erase_command(ids: tuple[str, ...], file: str | None, as_json: bool, **options: Any) -> None:
    """Refuse runs on data that hold a subject, and aliases to versions that learned from them, from now on."""
    from nbprod.cli.traces import print_erased
    from nbprod.lifecycle.subject.erase import Erasing, erase

    deleting = "yes" if options["delete_copies"] else "no"
    request = Erasing(
        ids=read_ids(ids, file), reason=options["reason"], deleting=deleting, replaces=options["replaces"]
    )
    done = erase(request)
    if as_json:
        render.document({**done.to_dict(), "aliases": list(done.trace.aliases)})
        return
    print_erased(done)


@command.command("close")
@ids_option
@click.option("--reason", default="", metavar="TEXT", help="What to add to the log, without the ID.")
@as_json
def close_command(ids: tuple[str, ...], file: str | None, reason: str, as_json: bool) -> None:
    """Close an erasure, if nothing is left of the subject. Exit code 6 with a list of what is, or is unknown."""
    from nbprod.lifecycle.subject.close import NotProven, close

    try:
        done = close(read_ids(ids, file), reason=reason)
    except NotProven as error:
        for line in error.left:
            click.echo(f"{click.style('left:', fg='yellow')} {line}", err=True)
        raise
    if as_json:
        render.document(done.to_dict())
        return
    click.echo(f"{click.style('closed', fg='green', bold=True)}: tombstone {', '.join(map(str, done.tombstones))}")
    render.next_step("nbprod subject list")


@command.command("list")
@as_json
def list_command(as_json: bool) -> None:
    """List the erasures of the registry. Exit code 4 when their log was tampered with."""
    from nbprod.cli.traces import print_erasures
    from nbprod.lifecycle.subject.listing import erasures

    found = erasures()
    if as_json:
        render.document(found.to_dict())
    else:
        print_erasures(found)
    if found.problems:
        raise SystemExit(4)
