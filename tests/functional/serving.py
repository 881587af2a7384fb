"""A real service as tests start it, and threads that ask it all the time."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from nbprod.predictions.reading import read_table
from tests.functional.project import PROGRAM, Project

JSON = {"content-type": "application/json"}
BODY = json.dumps({"records": [{"a": 0.9, "b": 0.1}]}).encode()

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

import nbprod

rows = pd.read_csv(train)
model = LogisticRegression(C=strength).fit(rows[["a", "b"]], rows["y"])
nbprod.log_metric("accuracy", model.score(rows[["a", "b"]], rows["y"]))
nbprod.log_model(model, example=rows[["a", "b"]].head())
"""


def train_toy(project: Project) -> None:
    """Register two versions of a small model, ``toy/1`` and ``toy/2``."""
    from tests.functional.project import parameters

    lines = [f"{i % 100 / 100},{i * 31 % 100 / 100},{int(i % 100 > 50)}" for i in range(300)]
    project.write("train.csv", "a,b,y\n" + "\n".join(lines) + "\n")
    project.notebook("toy.ipynb", parameters('train = "train.csv"  # input\nstrength: float = 1.0'), TRAIN)
    project.document("run", "toy.ipynb")
    project.document("run", "toy.ipynb", "-p", "strength", "0.1")


@dataclass(kw_only=True)
class Running:
    """A service that answers.

    Attributes:
        log: the folder of its prediction log.
        said: lines on standard error.
        body: what is asked where nothing else is said.
        trust: of a service with TLS.
    """

    process: subprocess.Popen[str]
    url: str
    port: int
    log: Path
    said: list[str] = field(default_factory=list)
    body: bytes = BODY
    trust: ssl.SSLContext | None = None

    def post(self, body: Any = None, path: str = "/predict", **headers: str) -> tuple[int, Any]:
        """The status and the body of an answer; a body that is not bytes is sent as JSON."""
        content = self.body if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=content, headers={**JSON, **named})
        return self._opened(request)

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the body of a page that is JSON."""
        return self._opened(urllib.request.Request(self.url + path))

    def _opened(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.trust) as found:
                return found.status, json.loads(found.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def send(self, data: bytes) -> bytes:
        """Bytes as they are, and everything that comes back until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(data)
            found = b""
            while part := connection.recv(65536):
                found += part
            return found

    def family(self) -> list[int]:
        """The service's process, and all that it started."""
        own = psutil.Process(self.process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]

    def logged(self) -> list[dict[str, str]]:
        """Request, role and version of every row in the log, rolled or not."""
        found: list[dict[str, str]] = read_table(self.log, columns=["request", "role", "version"]).to_pylist()
        return found

    def stop(self) -> int:
        """End it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def serving(
    project: Project,
    log: Path,
    *options: str,
    ref: str = "toy/1",
    body: bytes = BODY,
    variables: Mapping[str, str] = {},
) -> Iterator[Running]:
    """Start a service at a free port; when the block ends it is killed if it still runs.

    Args:
        log: where the logs of all models are.
        variables: of its environment.
    """
    command = [*PROGRAM, "serve", ref, "--port", "0", "--predictions", str(log), *options, "--json"]
    process = subprocess.Popen(
        command, cwd=project.root, env={**project.environment, **variables}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    said: list[str] = []
    errors = process.stderr
    reader = threading.Thread(target=lambda: said.extend(errors), daemon=True)
    reader.start()
    try:
        document = ""
        while line := process.stdout.readline():
            document += line
            if line == "}\n":
                break
        assert document, said
        told = json.loads(document)
        assert "url" in told, told
        url, folder = told["url"], project.root / told["log"]
        yield Running(
            process=process, url=url, port=int(url.rpartition(":")[2]), log=folder, said=said, body=body
        )  # fmt: skip
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        for child in family:
            child.kill()
        reader.join(5)
        process.stdout.close()
        process.stderr.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What one thread of a load asks all the time."""

    path: str = "/predict"
    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))


class Load:
    """Threads that ask all the time, and remember what was answered.

    Args:
        asking: one for each thread.

    Attributes:
        answered: the ids of the requests that were answered.
        versions: that answered.
        failed: every answer but 200, and every error of a connection.
    """

    def __init__(self, service: Running, *asking: Asking) -> None:
        self.service, self.answered, self.failed = service, set[str](), list[object]()
        self.versions: set[str] = set()
        self.ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(item,))
            for item in asking or [Asking(body=service.body)] * 4
        ]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def _ask(self, asking: Asking) -> None:
        while not self.ended.is_set():
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=30)
                with closing(connection):
                    while not self.ended.is_set():
                        connection.request("POST", asking.path, asking.body, asking.headers)
                        answer = connection.getresponse()
                        content = json.loads(answer.read())
                        if answer.status == 200:
                            self._remember(content)
                        else:
                            self.failed.append((answer.status, content))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed.append(error)
                time.sleep(0.02)

    def _remember(self, content: Any) -> None:
        """Note who answered; each protocol has its own place for it."""
        named = content if "request_id" in content else content["parameters"]
        self.answered.add(named["request_id"])
        self.versions.add(content.get("version") or content["model_version"])

    def stop(self) -> None:
        """End, when the last answers are there."""
        self.ended.set()
        for thread in self._threads:
            thread.join()
