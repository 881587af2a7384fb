"""Rolling beside a service: a thread looks for segments that are closed, and a process of its own rolls them and ends.

``python -m nbprod.serving.rolling FOLDER SECONDS URL`` is that process; what it imports is gone with it.
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
"""Seconds between two looks."""

ALWAYS = 3600.0
"""Seconds after which there is a round in any case: what is too old is deleted, and what must be erased is."""


@contextmanager
def rolled(folder: Path, retain: float | None, url: str | None = None) -> Iterator[None]:
    """Have a prediction log rolled while the block runs.

    Args:
        retain: seconds after which predictions are deleted; None for never.
        url: where the Parquet goes, a folder or any fsspec URL; None for beside the segments.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(folder, retain, url, ended), name="roll", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _look(folder: Path, retain: float | None, url: str | None, ended: threading.Event) -> None:
    due = time.monotonic() + ALWAYS
    while not ended.wait(EVERY):
        try:
            if time.monotonic() >= due or waiting(folder) or waiting(folder / FEEDBACK):
                due = time.monotonic() + ALWAYS
                one_round(folder, retain, ended, url=url)
        except OSError as error:
            events.tell("error", "the prediction log cannot be rolled, and is tried again", error=error)


def waiting(folder: Path) -> bool:
    """Whether there is a segment that nobody writes any more."""
    for path in segments_in(folder):
        with closed(path) as file:
            if file is not None:
                return True
    return False


def one_round(folder: Path, retain: float | None, ended: threading.Event, *, url: str | None = None) -> None:
    """One round in a process, which is killed when the service ends meanwhile: a roller may be killed anywhere."""
    seconds = "" if retain is None else str(retain)
    command = [sys.executable, "-P", "-m", "nbprod.serving.rolling", str(folder), seconds, url or ""]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if ended.wait(0.1):
                process.kill()
                return
    if process.returncode:
        events.tell("error", "the roller ended", code=process.returncode)


def main() -> None:
    """One round; what is wrong is told, and the segments wait for the next."""
    die_with_parent()
    os.nice(19)
    from nbprod.predictions.roller import roll

    folder, seconds, url = sys.argv[1:4]
    try:
        found = roll(Path(folder), url or None, retain=float(seconds) if seconds else None, wait=0)
    except Exception as error:
        events.tell("error", "the prediction log cannot be rolled, and is tried again", error=error)
        return
    for problem in found.problems:
        events.tell("warning", "damage in the prediction log", error=problem)
    if found.files:
        events.tell("info", "rolled", segments=len(found.segments), files=found.files, rows=found.rows)


if __name__ == "__main__":
    main()
