"""What the verbs print: plain aligned text, coloured on a terminal; with ``--json`` one document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

COLOURS = {
    "succeeded": "green", "run": "yellow", "reuse": "cyan", "failed": "red", "interrupted": "red",
    "skipped": "bright_black", "running": "yellow",
}  # fmt: skip


def document(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def word(text: str) -> str:
    """A status or action, in its colour."""
    return click.style(text, fg=COLOURS.get(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a head, in columns as wide as they need; the last column is left to run."""
    rows = [list(row) for row in rows]
    widths = [max(len(click.unstyle(row[i])) for row in [list(head), *rows]) for i in range(len(head))]
    for number, row in enumerate([list(head), *rows]):
        cells = []
        for width, cell in zip(widths[:-1], row[:-1], strict=True):
            cells.append(cell + " " * (width - len(click.unstyle(cell))))
        line = "  ".join([*cells, row[-1]]).rstrip()
        click.echo(click.style(line, dim=True) if number == 0 else line)


def next_step(command: str, why: str = "") -> None:
    """The exact command to type next, on stderr so that stdout stays the result."""
    click.echo(f"{click.style('next:', fg='green')} {command}{f'    # {why}' if why else ''}", err=True)


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(value: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def number(value: Any) -> str:
    """A metric's value, short: four digits, but counts whole."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value.is_integer() and abs(value) >= 10 else f"{value:.4g}"


def wrapped(label: str, text: str, *, indent: int) -> list[str]:
    """A label and its text in lines that fit the terminal, the text in a column of its own."""
    import shutil
    import textwrap

    width = max(40, min(shutil.get_terminal_size((100, 24)).columns, 110) - 2)
    lines = textwrap.wrap(" ".join(text.split()), width - indent) or [""]
    return [f"{label:<{indent}}{lines[0]}", *(" " * indent + line for line in lines[1:])]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines in columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for w, cell in zip(widths[1:], row[1:], strict=True))])
        for row in rows
    ]


def shell(*words: str) -> str:
    """A command line that can be typed as it is printed."""
    import shlex

    return shlex.join(words)
