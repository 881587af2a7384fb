"""Several workers on one socket: a parent that imports nothing heavy starts them, replaces the dead, and ends all.

They are forked before numpy is imported, since OpenMP's threads do not survive a fork. None outlives the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from nbprod.errors import DeployError, NbprodError
from nbprod.serving import events

TRIES = 5
WITHIN = 60.0
"""A service whose workers died so many times within so many seconds is ended."""

GRACE = 5.0
"""Seconds after the drain when a worker that still runs is killed."""

Work = Callable[[int, Callable[[], None]], None]


class Workers:
    """The workers of a service.

    Args:
        work: what a worker does: its number, and what it calls when it answers.
        drain: seconds that requests may take after SIGTERM.
        ready: called once, when all workers answer.
    """

    def __init__(self, work: Work, count: int, *, drain: float, ready: Callable[[], None]) -> None:
        self._work, self._count, self._drain, self._ready = work, count, drain, ready
        self._running: dict[int, int] = {}
        self._began: dict[int, bool] = {}
        self._died: list[float] = []
        self._ending = 0.0
        self._pipe = os.pipe()

    def run(self) -> None:
        """Start the workers, and return when SIGTERM or SIGINT ended them all.

        Raises:
            DeployError: they die again and again, or one could not begin.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for worker in range(self._count):
            self._start(worker)
        told = False
        failed = 0
        while self._running:
            self._listen()
            if not told and not self._ending and all(self._began.get(n) for n in range(self._count)):
                told = True
                self._ready()
            failed = self._collect() or failed
            if self._ending and time.monotonic() > self._ending + self._drain + GRACE:
                self._signal(signal.SIGKILL)
        if failed:
            raise DeployError("the service's workers could not be kept running; their log says why.")

    def _end(self, *_: Any) -> None:
        self._ending = self._ending or time.monotonic()
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for process in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def _start(self, worker: int) -> None:
        self._began[worker] = False
        process = os.fork()
        if process:
            self._running[process] = worker
            return
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            die_with_parent()
            os.close(self._pipe[0])
            self._work(worker, lambda: self._say(worker))
            code = 0
        except NbprodError as error:
            events.tell("error", "a worker cannot begin", worker=worker, error=str(error))
            code = error.exit_code
        except BaseException as error:
            events.tell("error", "a worker failed", worker=worker, error=error)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _say(self, worker: int) -> None:
        os.write(self._pipe[1], bytes([worker]))

    def _listen(self) -> None:
        """Wait a little for what workers say."""
        with contextlib.suppress(InterruptedError):
            if select.select([self._pipe[0]], [], [], 0.1)[0]:
                for worker in os.read(self._pipe[0], 256):
                    self._began[worker] = True

    def _collect(self) -> int:
        """Take note of workers that ended; the exit code that the service fails with, or 0."""
        failed = 0
        for process, worker in list(self._running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            del self._running[process]
            code = os.waitstatus_to_exitcode(status)
            if self._ending:
                failed = failed or (0 if code in (0, -signal.SIGTERM) else 1)
                continue
            events.tell("error", "a worker ended", worker=worker, code=code)
            now = time.monotonic()
            self._died = [moment for moment in self._died if now - moment < WITHIN] + [now]
            if not self._began[worker] or len(self._died) >= TRIES:
                failed = 1
                self._end()
            else:
                self._start(worker)
        return failed


def die_with_parent() -> None:
    """Let the kernel end this process when its parent is killed; where it is not Linux, look at the parent."""
    parent = os.getppid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it was killed before
            os._exit(0)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
