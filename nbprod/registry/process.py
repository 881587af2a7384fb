"""The registry in a process of its own, so that importing MLflow costs a run nothing: it happens while stages run.

The child answers lines of JSON, one at a time. It ends when its standard input closes, so it cannot outlive us.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbprod import errors
from nbprod.entities import JSON, Fact, ModelVersion, Run, Statement
from nbprod.errors import NbprodError, RegistryError
from nbprod.registry import Observed, Registration

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # with MLflow's own 7 an unreachable server is a wait of minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""The child's environment where the user's says nothing."""

PATIENCE = 5.0
"""Seconds that the child may take to finish what it is doing when we close it."""

LOG_MAX = 1_000_000


class Child:
    """The process, and how it is asked.

    Args:
        uri: MLflow's tracking URI.
        artifacts: folder for the files of a local registry.
        log: a file for what MLflow prints.
    """

    def __init__(self, uri: str, artifacts: Path, *, log: Path) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_MAX:
            log.unlink(missing_ok=True)
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                # -P: a module of the project must not stand in for one that MLflow imports.
                [sys.executable, "-P", "-m", "nbprod.registry.worker", uri, str(artifacts)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**DEFAULTS, **os.environ},
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the child, after what it is doing if that does not take long."""
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Only now: another thread may be reading, and gets the end of file first.
        self._process.stdout.close()

    def ready(self) -> None:
        """Wait until MLflow is imported and a local database is there; RegistryError if it cannot be opened."""
        self._ask("ready")

    def _ask(self, method: str, *arguments: JSON) -> Any:
        assert self._process.stdin and self._process.stdout
        with self._lock:
            self._asked += 1
            question = {"id": self._asked, "method": method, "arguments": arguments}
            answer: dict[str, Any] = {}
            try:
                self._process.stdin.write(json.dumps(question).encode() + b"\n")
                self._process.stdin.flush()
                while answer.get("id") != self._asked:  # a Ctrl-C may have left an earlier answer unread
                    line = self._process.stdout.readline()
                    if not line:
                        raise BrokenPipeError
                    answer = _answer(line)
            except (BrokenPipeError, ValueError) as error:  # ValueError: it was closed
                raise RegistryError(self._last_words()) from error
        if "error" in answer:
            raise _error(answer["error"])
        return answer["value"]

    def _last_words(self) -> str:
        """Why the child is gone, as far as its log tells."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        lines = text.strip().splitlines()
        said = f" Its last words: {lines[-1][:300]}" if lines else ""
        return f"the process that talks to MLflow ended; run again, and if it stays so look into {self._log}.{said}"


class RegistryProcess(Child):
    """See `nbprod.registry.Registry`. Use it in a ``with`` block; threads may share it."""

    def experiment(self, name: str) -> str:
        """See `Registry.experiment`."""
        return str(self._ask("experiment", name))

    def observed(self, run: str, stage: str, folder: str) -> Observed:
        """See `Registry.observed`."""
        return Observed.from_dict(self._ask("observed", run, stage, folder))

    def record(
        self, run: Run, root: str, tags: Mapping[str, str], datasets: Mapping[str, Mapping[str, JSON]] | None = None
    ) -> str:
        """See `Registry.record`."""
        known = None if datasets is None else {sha256: dict(facts) for sha256, facts in datasets.items()}
        return str(self._ask("record", run.to_dict(), root, dict(tags), known))

    def register(self, registration: Registration) -> ModelVersion:
        """See `Registry.register`."""
        return ModelVersion.from_dict(self._ask("register", registration.to_dict()))

    def versions(self, name: str | None = None) -> tuple[ModelVersion, ...]:
        """See `Registry.versions`."""
        return tuple(ModelVersion.from_dict(item) for item in self._ask("versions", name))

    def download(self, name: str, version: str, target: str, part: str = "") -> str:
        """See `Registry.download`."""
        return str(self._ask("download", name, version, target, part))

    def attach(self, name: str, version: str, statement: Statement) -> None:
        """See `Registry.attach`."""
        self._ask("attach", name, version, statement.to_dict())

    def statements(self, name: str, version: str) -> tuple[Statement, ...]:
        """See `Registry.statements`."""
        return tuple(Statement.from_dict(item) for item in self._ask("statements", name, version))

    def point(self, name: str, alias: str, version: str) -> None:
        """See `Registry.point`."""
        self._ask("point", name, alias, version)

    def lines(self, name: str) -> tuple[str, ...]:
        """See `Registry.lines`."""
        return tuple(map(str, self._ask("lines", name)))

    def append(self, name: str, number: int, line: str) -> None:
        """See `Registry.append`."""
        self._ask("append", name, number, line)

    def head(self, name: str) -> str:
        """See `Registry.head`."""
        return str(self._ask("head", name))


def _answer(line: bytes) -> dict[str, Any]:
    """One answer; nothing for the rest of one that a Ctrl-C cut in two."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def plain(value: Any) -> JSON:
    """What a method of the registry returned, in JSON types."""
    if isinstance(value, Fact):
        return value.to_dict()
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def plain_error(error: NbprodError) -> dict[str, JSON]:
    """An error's class and fields, as `RegistryProcess` raises it again."""
    return {"type": type(error).__name__, "message": error.message, "file": error.file, "stage": error.stage}


def _error(said: Mapping[str, Any]) -> NbprodError:
    kind = getattr(errors, str(said["type"]), RegistryError)
    if not (isinstance(kind, type) and issubclass(kind, NbprodError)):
        kind = RegistryError
    return kind(said["message"], file=said["file"], stage=said["stage"])
