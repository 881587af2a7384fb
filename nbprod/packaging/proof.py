"""Prove a bundle before anybody has it: install its lock elsewhere, load the model, ask it again, and let it serve.

The environment is new, outside the project, and holds nothing but the lock. With all wheels in the bundle nothing is
downloaded, so that an image can be built where there is no network.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from nbprod.entities import Fact
from nbprod.errors import DeployError
from nbprod.packaging.bundle import KEYS, LOCK, WHEELS
from nbprod.packaging.lock import environment_python, find_uv
from nbprod.targets.command import call, last_words

READY = 120.0
"""Seconds that a service may take until it is ready, on a busy machine."""

HIDDEN = ("NBPROD_", "MLFLOW_", "_MLFLOW_", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "UV_PROJECT")
"""Variables that would let the project help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof(Fact):
    """What a bundle did in its own environment.

    Attributes:
        rows: rows of the example that the model answered; 0 if it has none.
        compared: whether the answer was compared with the recorded one.
        ready: seconds until its service was ready.
        seconds: how long it all took.
    """

    rows: int
    compared: bool
    ready: float
    seconds: float


def prove(bundle: Path, *, python: str, wheels: str) -> Proof:
    """Install, load, replay and serve a bundle.

    Args:
        python: the interpreter to make the environment with.
        wheels: ``all`` if nothing may be downloaded.

    Raises:
        DeployError: any of it fails; with the reason.
    """
    begun, bundle = time.monotonic(), bundle.resolve()
    with tempfile.TemporaryDirectory(prefix="nbprod-proof-") as scratch:
        place = Path(scratch, "environment")
        _install(bundle, place, python=python, wheels=wheels)
        environment = clean_environment(Path(scratch))
        interpreter = environment_python(place)
        # A name that Python would take for the working folder's own is of no use: it is empty, and -I ignores it.
        said = call(
            [interpreter, "-I", "-m", "nbprod.packaging.proof_child", bundle],
            doing="load the model in a clean environment",
            folder=Path(scratch),
            environment=environment,
            timeout=300,
        )
        reply = _reply(said)
        ready = _served(bundle, interpreter.with_name("nbprod"), Path(scratch), environment)
    seconds = round(time.monotonic() - begun, 3)
    return Proof(rows=reply["rows"], compared=reply["compared"], ready=ready, seconds=seconds)


def _reply(said: str) -> dict[str, Any]:
    """The last line that the child printed: what a model prints comes before."""
    try:
        found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise DeployError("the model ended the process that loaded it in a clean environment.") from error
    if "error" in found:
        raise DeployError(f"the model does not work in a clean environment with the bundle's lock: {found['error']}.")
    return found


def _install(bundle: Path, place: Path, *, python: str, wheels: str) -> None:
    uv = find_uv()
    call([uv, "venv", "--quiet", "--no-project", "--python", python, place], doing="make a clean environment")
    command: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", environment_python(place), "--no-deps"]
    command += [
        "--require-hashes",
        "--compile-bytecode",
        "--find-links",
        bundle / WHEELS,
        "--requirement",
        bundle / LOCK,
    ]
    if wheels == "all":
        command += ["--no-index", "--offline"]
    call(command, doing="install the bundle's lock in a clean environment", folder=place)


def clean_environment(home: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of this process without those that lead to the project, and with a home of its own."""
    known = os.environ if variables is None else variables
    kept = {name: value for name, value in known.items() if not name.startswith(HIDDEN)}
    return {**kept, "HOME": str(home), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def _served(bundle: Path, program: Path, scratch: Path, environment: Mapping[str, str]) -> float:
    """Start the bundle's service until it says that it is ready; returns the seconds that it took."""
    port, log = free_port(), scratch / "service.log"
    place = scratch / "data"
    place.mkdir()
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), "serve", str(bundle), "--host", "127.0.0.1", "--port", str(port)],
            cwd=place, env={**environment, "NBPROD_KEYS": str(bundle / KEYS)},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            while not answers(f"http://127.0.0.1:{port}/readyz"):
                if process.poll() is not None or time.monotonic() - begun > READY:
                    said = last_words(log.read_text(encoding="utf-8", errors="replace"))
                    raise DeployError(f"the bundle's service did not get ready in a clean environment: {said}")
                time.sleep(0.05)
            return round(time.monotonic() - begun, 3)
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes], *, patience: float = 20.0) -> int:
    """Ask a process to end, and end it when it does not; returns its exit code."""
    process.terminate()
    try:
        return process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def answers(url: str, *, timeout: float = 2.0) -> bool:
    """Whether an address answers with success; a proxy is not asked."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=timeout) as reply:
            return bool(200 <= reply.status < 300)
    except (URLError, OSError, ValueError):
        return False


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
