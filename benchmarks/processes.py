"""Run a process and say how long it took, what it read and how much memory it held."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STEP = 0.01
"""Seconds between two looks at a process's memory."""


class BenchmarkError(Exception):
    """Something that was measured did not do what it is measured for."""


@dataclass(frozen=True, slots=True)
class Took:
    """How long something took.

    Attributes:
        seconds: by the clock.
        busy: seconds of processor time of all its processes, which other users of the machine change less.
    """

    seconds: float
    busy: float

    def __add__(self, other: Took) -> Took:
        """One after the other."""
        return Took(self.seconds + other.seconds, self.busy + other.busy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that ended well.

    Attributes:
        took: from its start to its end, with all that it started and waited for.
        at: when it ended (seconds since 1970).
        read: bytes that it and its children read with system calls, from the page cache too; None where the system
            does not say (it is Linux that does).
        peak: most bytes of memory that it held itself, without its children; None as above, or if nobody watched.
    """

    took: Took
    at: float
    out: str
    err: str
    read: int | None = None
    peak: int | None = None


def run(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Ended:
    """Run a command to its end.

    Raises:
        BenchmarkError: it failed; with the last lines that it printed.
    """
    return _run(command, folder, environment, interval=0.0)


def watch(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Ended:
    """The same, looking at its memory every 10 ms, which makes the time less exact."""
    return _run(command, folder, environment, interval=STEP)


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str], interval: float) -> Ended:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        clock = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        try:
            peak = _wait(process.pid, interval)
            seconds, at = time.perf_counter() - clock, time.time()
            read = _read_bytes(process.pid)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = Took(seconds, usage.ru_utime + usage.ru_stime)
        out.seek(0)
        err.seek(0)
        ended = Ended(took=took, at=at, out=out.read(), err=err.read(), read=read, peak=peak)
    if code := process.returncode:
        said = "\n".join((ended.out + ended.err).splitlines()[-25:])
        raise BenchmarkError(f"{' '.join(command)}\nended with exit code {code}:\n{said}")
    return ended


def _wait(process: int, interval: float) -> int | None:
    """Wait for a process and leave it to be asked what it read; returns its peak if it is watched."""
    peak = None
    while interval:
        peak = _peak_bytes(process) or peak
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return peak
        time.sleep(interval)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    return None


def _peak_bytes(process: int) -> int | None:
    """``VmHWM``: the process's own high-water mark, which unlike ``ru_maxrss`` does not begin with its parent's."""
    return _field(Path(f"/proc/{process}/status"), "VmHWM:", 1024)


def _read_bytes(process: int) -> int | None:
    return _field(Path(f"/proc/{process}/io"), "rchar:", 1)


def _field(file: Path, name: str, unit: int) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(name)]
    return int(found[0]) * unit if found else None
