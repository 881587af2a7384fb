"""Gate results as a table, the same wherever they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from nbprod.cli import render
from nbprod.entities import GateResult

COLOURS = {"passed": "green", "failed": "red", "undecided": "yellow"}


def print_results(results: Sequence[GateResult], *, overrides: Iterable[str] = (), err: bool = False) -> None:
    """Print what gates found, a line for each; below it why, unless it passed with a value that speaks for itself."""
    overridden = set(overrides)
    head = ("GATE", "VERDICT", "OBSERVED", "INTERVAL", "REQUIRED")
    rows = [[click.style(word, dim=True) for word in head]]
    for result in results:
        verdict = click.style(result.verdict, fg=COLOURS[result.verdict])
        if result.gate in overridden and result.verdict != "passed":
            verdict += " (overridden)"
        rows.append([_title(result), verdict, _value(result.observed), _interval(result), _value(result.required)])
    widths = [max(len(click.unstyle(row[i])) for row in rows) for i in range(len(head) - 1)]
    for number, row in enumerate(rows):
        cells = [cell + " " * (width - len(click.unstyle(cell))) for width, cell in zip(widths, row, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip(), err=err)
        for line in _why(results[number - 1]) if number else ():
            click.echo(line, err=err)


def _why(result: GateResult) -> list[str]:
    """Why, in lines; none for a gate that passed with a value, or has nothing to say."""
    if not result.reason or (result.verdict == "passed" and result.observed is not None):
        return []
    return render.wrapped("", result.reason, indent=4)


def _title(result: GateResult) -> str:
    """The gate with the option that tells it from its like."""
    shown = [str(result.options[key]) for key in ("metric", "by", "dataset", "of") if result.options.get(key)]
    return f"{result.gate} {' '.join(shown)}".strip()


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    return render.number(value)


def _interval(result: GateResult) -> str:
    if result.interval is None:
        return "-"
    return f"[{render.number(result.interval[0])}, {render.number(result.interval[1])}]"
