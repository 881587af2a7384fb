"""The roller beside a service, ``python -m nbprod.serving.rolling FOLDER [SECONDS]``, which ends with its parent.

It is small while there is nothing to do: a child of it imports what Parquet needs, does one round and is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbprod.predictions.places import FEEDBACK
from nbprod.predictions.segments import closed, segments_in
from nbprod.serving import events
from nbprod.serving.workers import die_with_parent

EVERY = 20.0
"""Seconds between two looks for segments that are closed."""

ALWAYS = 3600.0
"""Seconds after which there is a round in any case: what is too old is deleted, and what must be erased is."""


@contextmanager
def rolled(folder: Path, retain: float | None) -> Iterator[None]:
    """Have a prediction log rolled while the block runs."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "nbprod.serving.rolling",
        str(folder),
        *([] if retain is None else [str(retain)]),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


def main() -> None:
    """Roll until standard input closes."""
    folder = Path(sys.argv[1])
    retain = float(sys.argv[2]) if len(sys.argv) > 2 else None
    os.nice(19)
    ended = threading.Event()
    threading.Thread(target=_listen, args=(ended,), daemon=True).start()
    due = time.monotonic() + ALWAYS
    while not ended.wait(EVERY):
        if time.monotonic() >= due or waiting(folder) or waiting(folder / FEEDBACK):
            due = time.monotonic() + ALWAYS
            _round(folder, retain, ended)


def waiting(folder: Path) -> bool:
    """Whether there is a segment that nobody writes any more."""
    for path in segments_in(folder):
        with closed(path) as file:
            if file is not None:
                return True
    return False


def _listen(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _round(folder: Path, retain: float | None, ended: threading.Event) -> None:
    """One round in a child, which is killed when the service ends meanwhile: a roller may be killed anywhere."""
    child = os.fork()
    if not child:
        _roll(folder, retain)
    while not ended.is_set():
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                events.tell("error", "the roller ended", code=os.waitstatus_to_exitcode(status))
            return
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)


def _roll(folder: Path, retain: float | None) -> None:
    code = 1
    try:
        die_with_parent()
        from nbprod.predictions.roller import roll

        found = roll(folder, retain=retain, wait=0)
        for problem in found.problems:
            events.tell("warning", "damage in the prediction log", error=problem)
        if found.files:
            events.tell("info", "rolled", segments=len(found.segments), files=found.files, rows=found.rows)
        code = 0
    except Exception as error:
        events.tell("error", "the prediction log cannot be rolled, and is tried again", error=error)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
