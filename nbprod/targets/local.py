"""The target ``local``: a service process on this machine, supervised by another that outlives the command."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nbprod.errors import DeployError, UsageError
from nbprod.targets import Deployment, Placement
from nbprod.targets.command import last_words
from nbprod.targets.state import now, read, save, state_file
from nbprod.targets.supervisor import READY, TRIES

PATIENCE = 60.0
"""Seconds that a supervisor may take to stop its service and end."""

PREDICTIONS = "predictions"
"""Beside the deployments: the prediction logs of the project, which `nbprod monitor` and `subject` read."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def local(placement: Placement, *, host: str = "127.0.0.1", port: int = 8080, api_key_file: str = "") -> Deployment:
    """Run a bundle's service on this machine, in this environment.

    What ran under the name before is stopped first; when the new version does not get ready, it is started again.

    Args:
        host: address to listen on; any but the loopback one needs `api_key_file`.
        port: port to listen on.
        api_key_file: the keys that callers may use.

    Raises:
        UsageError: an address for others has no keys.
        DeployError: the new version did not get ready; the deployment that is there now is told.
    """
    if host not in LOOPBACK and not api_key_file:
        raise UsageError(f"a service at {host} can be asked by others, so it needs keys: --option api_key_file FILE.")
    file = state_file(placement.folder, placement.wanted.name, "local")
    log = placement.folder.parent / PREDICTIONS
    options = ["--host", host, "--port", str(port), "--predictions", str(log.resolve())]
    if api_key_file:
        options += ["--api-key-file", str(Path(api_key_file).resolve())]
    before = placement.previous
    if before:
        stop(before, file)
    if not _is_free(host, port):
        raise UsageError(f"the port {port} of {host} is in use by another process: take another, --option port NUMBER.")
    shown = f"[{host}]" if ":" in host else host
    wanted = replace(
        placement.wanted,
        url=f"http://{'127.0.0.1' if host == '0.0.0.0' else shown}:{port}",
        since=now(),
        previous=_before(before, placement.wanted),
        details={"options": options, "data": str(placement.folder / f"{placement.wanted.name}.data")},
    )
    save(file, wanted)
    supervisor = _launch(file)
    return _settled(file, wanted, supervisor)


def _is_free(host: str, port: int) -> bool:
    """Whether nobody listens there; what another process answers would be taken for the service's answer."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return True
    except OSError:
        return False


def _before(before: Deployment | None, wanted: Deployment) -> dict[str, str]:
    """What to go back to: what was there if it worked and was another bundle, else what that had to go back to."""
    if before is None:
        return {}
    if before.status in ("failed",) or before.bundle == wanted.bundle:
        return before.previous
    return {"version": before.ref, "bundle": before.bundle, "entry": before.entry, "digest": before.digest}


def _launch(file: Path) -> subprocess.Popen[bytes]:
    """Start the supervisor, away from this terminal."""
    with file.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nbprod.targets.supervisor", str(file)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _settled(file: Path, wanted: Deployment, supervisor: subprocess.Popen[bytes]) -> Deployment:
    """Wait until the service is ready, was rolled back, or was given up."""
    end = time.monotonic() + 2 * TRIES * READY
    while time.monotonic() < end:
        found = read(file) or wanted
        if found.status == "ready" and found.ref == wanted.ref and found.bundle == wanted.bundle:
            return found
        if found.status in ("ready", "failed", "stopped") or supervisor.poll() is not None:
            found = read(file) or wanted
            why = found.reason or _log(file)
            now_there = f"; {found.ref} answers again" if found.status == "ready" else "; nothing answers"
            raise DeployError(
                f"{wanted.ref} was not deployed: {why.rstrip('.')}{now_there}: see {file.with_suffix('.log')}."
            )
        time.sleep(0.1)
    raise DeployError(f"{wanted.ref} was not ready in time: see {file.with_suffix('.log')}.")


def _log(file: Path) -> str:
    with suppress(OSError):
        return last_words(file.with_suffix(".log").read_text(encoding="utf-8", errors="replace"))
    return ""


def alive(deployment: Deployment, file: Path) -> bool:
    """Whether the supervisor of a deployment runs."""
    return _runs(deployment.processes.get("supervisor", 0), "nbprod.targets.supervisor", str(file))


def _runs(number: int, *words: str) -> bool:
    """Whether a process runs whose command line holds some words; one that only has the number does not count."""
    if not number:
        return False
    if Path("/proc/self/cmdline").exists():
        try:
            command = Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            return False
        return all(os.fsencode(word) in command for word in words)
    listed = subprocess.run(["ps", "-o", "command=", "-p", str(number)], capture_output=True, text=True, check=False)
    return all(word in listed.stdout for word in words)


def stop(deployment: Deployment, file: Path) -> Deployment:
    """Stop a deployment and its supervisor.

    Raises:
        DeployError: it does not end.
    """
    if alive(deployment, file):
        os.kill(deployment.processes["supervisor"], signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while alive(deployment, file):
            if time.monotonic() > end:
                raise DeployError(
                    f"the supervisor of {deployment.ref} (process {deployment.processes['supervisor']}) does not end."
                )
            time.sleep(0.05)
    service = deployment.processes.get("service", 0)
    if _runs(service, "serve", deployment.bundle):  # its supervisor was killed
        os.kill(service, signal.SIGTERM)
    found = replace(read(file) or deployment, status="stopped", processes={}, reason="")
    save(file, found)
    return found


def looked_at(deployment: Deployment, file: Path) -> Deployment:
    """A deployment as it is now: one whose supervisor is gone does not run, whatever is noted."""
    if deployment.status in ("starting", "ready", "restarting") and not alive(deployment, file):
        return replace(deployment, status="failed", processes={}, reason="its supervisor is gone: deploy it again.")
    return deployment
