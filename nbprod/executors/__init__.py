"""How a notebook is executed: what an executor gets, and what it gives back.

An executor is a plain function under the entry point ``nbprod.executors``: ``execute(job, control) -> Outcome``. It
writes the executed notebook to ``job.target`` after every cell, whole each time, and never raises for what a notebook
does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbprod.entities import CellError

Stop = Literal["", "timeout", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One notebook to execute.

    Attributes:
        notebook: the notebook as read from its JSON, format 4.
        parameters: name -> value, injected after the parameters cell.
        kernel: name of the kernel.
        folder: the kernel's working folder.
        environment: variables for the kernel, beside those it inherits.
        target: where the executed notebook is kept.
        on_cell: called with (cell i, of n) as each code cell begins; both count code cells from 1.
    """

    notebook: Mapping[str, Any]
    parameters: Mapping[str, Any]
    kernel: str
    folder: Path
    environment: Mapping[str, str]
    target: Path
    on_cell: Callable[[int, int], None] = lambda cell, cells: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it.

    Attributes:
        cells: number of code cells, of which ``pending`` never ran.
        error: why it did not succeed; None if it did.
        stopped: why it was stopped from outside, if it was.
    """

    cells: int = 0
    pending: int = 0
    error: CellError | None = None
    stopped: Stop = ""


@dataclass(slots=True)
class Control:
    """The way to stop an execution from another thread. Stopping twice is the same as stopping once."""

    reason: Stop = ""
    _kill: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, reason: Stop) -> None:
        """Stop what runs, or what will begin, and say why."""
        with self._lock:
            if self.reason != "interrupted":  # which nothing else may hide
                self.reason = reason
            kill = self._kill
        if kill:
            kill()

    def forget(self, reason: Stop) -> None:
        """Take a stop back once it was dealt with, so that another attempt may begin; another reason stays."""
        with self._lock:
            if self.reason == reason:
                self.reason = ""

    def begin(self, kill: Callable[[], None]) -> None:
        """Called by the executor when there is something to kill; it is killed at once if a stop came before."""
        with self._lock:
            self._kill = kill
            stopped = bool(self.reason)
        if stopped:
            kill()

    def end(self) -> None:
        """Called by the executor when there is nothing left to kill."""
        with self._lock:
            self._kill = None
