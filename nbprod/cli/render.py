"""What the verbs print: plain aligned text, coloured on a terminal; with ``--json`` one document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

COLOURS = {
    "succeeded": "green", "run": "yellow", "reuse": "cyan", "failed": "red", "interrupted": "red", "skipped": "bright_black",
    "running": "yellow",
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
    """A metric's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shell(*words: str) -> str:
    """A command line that can be typed as it is printed."""
    import shlex

    return shlex.join(words)
