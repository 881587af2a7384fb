"""What a run looks like while it goes on: live lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from nbprod.cli import render
from nbprod.entities import StageRun
from nbprod.pipeline.events import CellStarted, Event, StageEnded, StageStarted, StageWaits, Watch


@contextmanager
def watcher(*, terminal: bool) -> Iterator[Watch]:
    """A function to give to a run; what it shows ends with the block."""
    if not terminal:
        yield plain
        return
    live = _Live()
    try:
        yield live.watch
    finally:
        live.close()


def summary(stage: StageRun) -> str:
    """How a stage ended, in a line."""
    if stage.action == "reuse":
        return f"{stage.stage}: {render.word('reuse')} ({'; '.join(stage.reasons)})"
    if stage.status == "skipped":
        return f"{stage.stage}: {render.word('skipped')} ({'; '.join(stage.reasons)})"
    attempts = f", attempt {stage.attempts}" if stage.attempts > 1 else ""
    return (
        f"{stage.stage}: {render.word(stage.status)} in {render.seconds(stage.seconds)} ({stage.cells} cells{attempts})"
    )


def plain(event: Event) -> None:
    """One line per event, for logs; cells are not told."""
    if isinstance(event, StageStarted):
        again = f", attempt {event.attempt}" if event.attempt > 1 else ""
        click.echo(f"{event.stage}: {render.word('run')} ({'; '.join(event.reasons)}{again})", err=True)
    elif isinstance(event, StageWaits):
        click.echo(f"{event.stage}: waiting for another process that is running it", err=True)
    elif isinstance(event, StageEnded):
        click.echo(summary(event.stage), err=True)


class _Live:
    """A line per running stage, kept up to date below the lines of stages that ended."""

    def __init__(self) -> None:
        self._display: Any = None
        self._running: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def watch(self, event: Event) -> None:
        """Show an event; called from several threads."""
        with self._lock:
            if isinstance(event, StageStarted):
                self._running[event.stage] = (time.monotonic(), "starting")
            elif isinstance(event, StageWaits):
                self._running[event.stage] = (time.monotonic(), "waiting for another process")
            elif isinstance(event, CellStarted):
                began = self._running.get(event.stage, (time.monotonic(), ""))[0]
                self._running[event.stage] = (began, f"cell {event.cell} of {event.cells}")
            else:
                self._running.pop(event.stage.stage, None)
                self._print(summary(event.stage))
            self._refresh()

    def _print(self, line: str) -> None:
        if self._display is None:
            click.echo(line, err=True)
        else:
            from rich.text import Text

            self._display.console.print(Text.from_ansi(line))

    def _refresh(self) -> None:
        if self._display is None and self._running:
            from rich.console import Console
            from rich.live import Live

            self._display = Live(
                get_renderable=self._rows, console=Console(stderr=True), refresh_per_second=8, transient=True
            )
            self._display.start()

    def _rows(self) -> Any:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        rows = []
        for stage, (began, state) in list(self._running.items()):
            text = Text(f" {stage}: {state}, {render.seconds(time.monotonic() - began)}")
            rows.append(Spinner("dots", text=text))
        return Group(*rows)

    def close(self) -> None:
        """Take the live lines away."""
        if self._display is not None:
            self._display.stop()
