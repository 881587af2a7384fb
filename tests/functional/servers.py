"""A real MLflow server on this machine, as tests start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.functional.project import wait_for


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, environment: Mapping[str, str], *, port: int) -> Iterator[str]:
    """The address of an MLflow server, whose database and files are in a folder."""
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder / 'server.db'}",
             "--artifacts-destination", str(folder / "served")],
            cwd=folder, env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"}, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    try:
        wait_for("the MLflow server to answer", answers, seconds=120)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # MLflow's server leaves its workers behind when it is only terminated
        process.wait()
