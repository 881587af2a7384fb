"""Keep one service running: start it again when it ends, and go back to the version before when it never works.

`supervise` only decides; what it does goes through `Host`, so that a test needs no process and no clock. This file is
also the program that runs beside the service: ``python -m nbprod.targets.supervisor STATE_FILE``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from nbprod.targets import Deployment
from nbprod.targets.state import read, save

READY = 90.0
"""Seconds that a service may take until it is ready."""

TRIES = 3
"""A version that does not get ready this often is given up."""

MISSES = 3
"""So many health checks in a row may fail before the service is taken to hang."""

EVERY = 2.0
"""Seconds between two health checks."""

STEADY = 60.0
"""Seconds after which a service that works is taken to be sound: its crashes before are forgotten."""

BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a service is started again, the first time, the second, ...; the last is for all that follow."""

CRASHES = 5
"""A version that ends so often without having been steady is given up, too."""

PROGRAM = (sys.executable, "-P", "-c", "from nbprod.cli import main; main()")
"""`nbprod` of this Python; -P because an installed command does not see the working folder's modules either."""


class Host(Protocol):
    """What a supervisor may do."""

    def start(self, deployment: Deployment) -> int:
        """Start the service of a deployment; returns its process id."""
        ...

    def ended(self) -> str:
        """How the service ended, such as ``exit code 1``; empty while it runs."""
        ...

    def healthy(self, path: str) -> bool:
        """Whether the service answers a path with success."""
        ...

    def end(self) -> None:
        """Stop the service, and wait for it."""
        ...

    def wait(self, seconds: float) -> bool:
        """Let time pass; False when the supervisor was asked to stop."""
        ...

    def clock(self) -> float:
        """Seconds, never going back."""
        ...

    def note(self, deployment: Deployment) -> None:
        """Keep what is so now, where people look."""
        ...


def supervise(deployment: Deployment, host: Host) -> Deployment:
    """Run a deployment until it is to stop, or cannot be run; returns how it ended.

    A version that is given up makes place for the one before, once; that one given up, too, is the end.
    """
    while True:
        ended = _run(deployment, host)
        if ended.status != "failed" or not deployment.previous:
            return ended
        before = deployment.previous
        name, _, version = before["version"].rpartition("/")
        reason = f"rolled back from {deployment.ref}: {ended.reason}"
        deployment = replace(
            ended, name=name, version=version, bundle=before["bundle"], entry=before.get("entry", ""),
            digest=before.get("digest", ""), previous={}, status="starting", reason=reason, restarts=0,
        )  # fmt: skip
        host.note(deployment)


def _run(deployment: Deployment, host: Host) -> Deployment:
    """Run one version until it is to stop or is given up."""
    crashes, starts = 0, 0
    note = deployment.reason
    while True:
        current = replace(
            deployment,
            status="starting" if not starts else "restarting",
            restarts=starts,
            processes={**deployment.processes, "service": host.start(deployment)},
        )
        host.note(current)
        starts += 1
        begun = host.clock()
        why = _until_ready(host)
        if why == "":
            host.note(replace(current, status="ready", reason=note))
            ready = host.clock()
            why = _while_well(host)
            crashes = 1 if host.clock() - ready >= STEADY else crashes + 1
            limit = CRASHES
        else:
            crashes, limit = crashes + 1, TRIES
        host.end()
        bare = replace(current, processes=_without_service(current))
        if why is None:
            return replace(bare, status="stopped", reason="")
        if crashes >= limit:
            return replace(bare, status="failed", reason=why)
        host.note(replace(bare, status="restarting", reason=why))
        pause = BACK_OFF[min(crashes, len(BACK_OFF)) - 1]
        if not host.wait(max(0.0, pause - (host.clock() - begun) if pause < EVERY else pause)):
            return replace(bare, status="stopped", reason="")


def _until_ready(host: Host) -> str | None:
    """Wait until the service is ready; why it is not, and None when it is to stop."""
    begun = host.clock()
    while not host.healthy("/readyz"):
        if how := host.ended():
            return f"it ended with {how} before it was ready."
        if host.clock() - begun > READY:
            return f"it was not ready within {READY:g} seconds."
        if not host.wait(0.1):
            return None
    return ""


def _while_well(host: Host) -> str | None:
    """Watch the service; why it has to be started again, and None when it is to stop."""
    missed = 0
    while missed < MISSES:
        if not host.wait(EVERY):
            return None
        if how := host.ended():
            return f"it ended with {how}."
        missed = 0 if host.healthy("/livez") else missed + 1
    return f"{MISSES} health checks in a row failed."


def _without_service(deployment: Deployment) -> dict[str, int]:
    return {name: id for name, id in deployment.processes.items() if name != "service"}


@dataclass(slots=True)
class Machine:
    """`Host` on this machine.

    Attributes:
        state: the file that the deployment is noted in.
        log: what the service prints goes there.
        stopping: set by SIGTERM.
    """

    state: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    stopping: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self, deployment: Deployment) -> int:
        """See `Host`."""
        options = [str(word) for word in _list(deployment.details.get("options"))]
        place = Path(str(deployment.details["data"]))
        place.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*PROGRAM, "serve", deployment.bundle, *options],
                cwd=place, env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=_end_with_parent,
            )  # fmt: skip
        self.url = deployment.url
        return self.process.pid

    def ended(self) -> str:
        """See `Host`."""
        code = self.process.poll() if self.process else 0
        if code is None:
            return ""
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def healthy(self, path: str) -> bool:
        """See `Host`; another process that answers at the address is not the service."""
        if self.ended():
            return False
        try:
            with build_opener(ProxyHandler({})).open(f"{self.url}{path}", timeout=3) as reply:
                return bool(200 <= reply.status < 300)
        except (URLError, OSError, ValueError):
            return False

    def end(self) -> None:
        """See `Host`."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=45)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait(self, seconds: float) -> bool:
        """See `Host`."""
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))
        return not self.stopping

    def clock(self) -> float:
        """See `Host`."""
        return time.monotonic()

    def note(self, deployment: Deployment) -> None:
        """See `Host`."""
        save(self.state, deployment)


def _end_with_parent() -> None:
    """Where the system can: a service whose supervisor was killed gets SIGTERM, so that it is never left alone."""
    platform: str = sys.platform
    if platform == "linux":
        import ctypes

        set_parent_death_signal = 1  # from linux/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def main(arguments: list[str]) -> int:
    """Supervise what a state file says, until SIGTERM."""
    file = Path(arguments[0])
    deployment = read(file)
    if deployment is None:
        return 1
    machine = Machine(state=file, log=file.with_suffix(".log"))

    def stop(number: int, frame: object) -> None:
        machine.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    mine = {"supervisor": os.getpid()}
    ended = supervise(replace(deployment, processes=mine), machine)
    save(file, replace(ended, processes={}))
    return 0 if ended.status == "stopped" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
