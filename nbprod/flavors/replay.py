"""Prove that a model works where its author is not: a new process outside the project loads it and asks it again.

The process uses plain MLflow and sees neither the project nor its import path (an editable install counts as
installed). It is started early, so that its imports are done when the model is there, and it ends when its parent
does.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbprod.entities import JSON, Fact
from nbprod.errors import ArtifactError
from nbprod.flavors.loading import untrusted
from nbprod.flavors.trusted import TRUSTED

TIMEOUT = 300.0
"""Seconds that a replay may take, with the process's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed(Fact):
    """A model that could be loaded elsewhere.

    Attributes:
        rows: rows of the example that it answered; 0 if it has no example.
        output: its answer, in JSON types.
        compared: whether the answer was compared with the one that was kept when the model was logged.
        seconds: how long it took.
    """

    rows: int
    output: JSON = None
    compared: bool = False
    seconds: float = 0.0


class Replay:
    """A process that replays models; use it in a ``with`` block, or `close` it.

    Args:
        python: the interpreter whose packages are used; by default this one.
    """

    def __init__(self, *, python: str = sys.executable) -> None:
        self._python = python
        self._folder = tempfile.TemporaryDirectory(prefix="nbprod-replay-")
        self._errors = Path(self._folder.name, "errors.txt")
        self._process: subprocess.Popen[bytes] | None = self._launch()

    @classmethod
    def start(cls, *, python: str = sys.executable) -> Self:
        """Begin importing what a replay needs, and return at once."""
        return cls(python=python)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _launch(self) -> subprocess.Popen[bytes]:
        empty = Path(self._folder.name, "empty")
        empty.mkdir(exist_ok=True)
        hidden = ("NBPROD_", "MLFLOW_", "_MLFLOW_", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        with self._errors.open("wb") as errors:
            return subprocess.Popen(
                [self._python, "-P", str(Path(__file__).with_name("replay_child.py"))],
                cwd=empty,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )

    def check(self, folder: Path, trusted: Iterable[str] = (), *, timeout: float = TIMEOUT) -> Replayed:
        """Load a model folder with plain MLflow and compare its answer to its example with the one that is kept there.

        Args:
            trusted: names of types beside nbprod's own list; the folder's own list is not taken for an answer.
            timeout: seconds.

        Raises:
            ArtifactError: it cannot be loaded or asked there, or answers otherwise; with the reason and what to do.
            UntrustedTypes: it holds types that are in neither list.
        """
        started = time.monotonic()
        question = {"folder": str(folder.resolve()), "allowed": sorted(TRUSTED | set(trusted))}
        reply = self._ask(question, timeout=timeout)
        if reply.get("error") == "untrusted":
            raise untrusted(reply["types"], file=str(folder))
        if "error" in reply:
            raise ArtifactError(_sentence(reply["error"], reply["text"]), file=str(folder))
        return Replayed(
            rows=reply["rows"],
            output=reply["answer"],
            compared=reply["compared"],
            seconds=round(time.monotonic() - started, 3),
        )

    def ask(
        self, folder: Path, rows: Path, target: Path, trusted: Iterable[str] = (), *, timeout: float = TIMEOUT
    ) -> list[JSON]:
        """Let a model answer rows, away from the project.

        Args:
            rows: a Parquet file with the model's columns.
            target: is written: a Parquet file with ``prediction``, and ``score`` where the model gives probabilities:
                that of the second of two classes, or of the most probable of several.

        Returns:
            The classes of a classifier; nothing of another model.

        Raises:
            ArtifactError: it cannot be loaded or does not answer.
            UntrustedTypes: as `check` does.
        """
        allowed = sorted(TRUSTED | set(trusted))
        places = {"folder": str(folder.resolve()), "asked": str(rows.resolve()), "answers": str(target.resolve())}
        reply = self._ask({**places, "allowed": allowed}, timeout=timeout)
        if reply.get("error") == "untrusted":
            raise untrusted(reply["types"], file=str(folder))
        if "error" in reply:
            raise ArtifactError(f"the model does not answer these rows ({reply['text']}).", file=str(folder))
        classes: list[JSON] = reply["classes"]
        return classes

    def _ask(self, question: dict[str, JSON], *, timeout: float) -> dict[str, Any]:
        process = self._process = self._process or self._launch()
        assert process.stdin and process.stdout
        answer, deadline = b"", time.monotonic() + timeout
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while not answer.endswith(b"\n"):
                    if not selector.select(max(0.0, deadline - time.monotonic())):
                        self._end()
                        return {"error": "timeout", "text": f"{timeout:g}"}
                    if not (part := os.read(process.stdout.fileno(), 1 << 16)):
                        return {"error": "died", "text": self._last_words(process)}
                    answer += part
        except BrokenPipeError:
            return {"error": "died", "text": self._last_words(process)}
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        code = process.wait(timeout=10)
        self._end()
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        lines = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with exit code {code}"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(timeout=10)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def close(self) -> None:
        """End the process; nothing happens if it has ended."""
        self._end()
        self._folder.cleanup()


def replay(folder: Path, *, trusted: Iterable[str] = (), timeout: float = TIMEOUT) -> Replayed:
    """Replay one model in a process of its own; see `Replay.check`."""
    with Replay.start() as process:
        return process.check(folder, trusted, timeout=timeout)


def _sentence(kind: str, text: str) -> str:
    """Why a replay failed, and what to do."""
    match kind:
        case "module":
            return (
                f"the model cannot be loaded outside the project, because the module '{text}' is not there: if it is "
                "one of the project's, log the model with nbprod.log_model, or with MLflow's code_paths=, so that it "
                "travels along; else install it where nbprod runs."
            )
        case "differs":
            return (
                f"the model answers its example otherwise when MLflow loads it outside the project: {text}; make "
                "predict depend on nothing but the model and its rows, and take rows as the signature says them."
            )
        case "asked":
            return (
                f"the model can be loaded outside the project but not answer its example there ({text}): log it with "
                "rows as its predict takes them."
            )
        case "timeout":
            return f"the model did not answer its example outside the project within {text} seconds."
        case "died":
            return f"the process that replayed the model's example outside the project ended early ({text})."
    return (
        f"the model cannot be loaded outside the project ({text}): it must load without the project's files, folder "
        "and environment, with the packages that are installed; mend that, and log it again."
    )
