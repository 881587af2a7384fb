"""The child of `nbprod.registry.process`: opens MLflow at once, then answers lines of JSON until its input ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbprod.entities import Run, Statement
from nbprod.errors import NbprodError
from nbprod.registry import Registration, Registry
from nbprod.registry.database import local_path, prepare
from nbprod.registry.process import plain, plain_error

QUIET = 0.3
"""Seconds without a question after which there is time for other things."""

READ: dict[str, dict[int, Callable[[Any], Any]]] = {
    "record": {0: Run.from_dict},
    "register": {0: Registration.from_dict},
    "attach": {2: Statement.from_dict},
}
"""Method -> position -> how to read an argument that is a fact."""


def main() -> None:
    """Answer until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    opened = _opened(sys.argv[1], Path(sys.argv[2]))
    for line in sys.stdin.buffer:
        question = json.loads(line)
        answer = {"id": question["id"], **_reply(opened, question)}
        try:
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:
            break
        _warm(opened, answered=question["id"])
    sys.stderr.flush()
    os._exit(0)  # tearing down what MLflow imported takes longer than all the rest


def _opened(uri: str, artifacts: Path) -> Registry | NbprodError:
    """The registry, or why there is none; said when it is asked for."""
    try:
        if path := local_path(uri):
            prepare(path, artifacts, _make_database)  # before the slow import: notebooks may wait for it
        from nbprod.registry.mlflow import MlflowRegistry

        return MlflowRegistry(uri, artifacts)
    except NbprodError as error:
        return error


def _warm(opened: Registry | NbprodError, *, answered: int) -> None:
    """After the first answer, if nothing is asked, do once what makes MLflow's first search slow, while stages run."""
    if answered > 1 or isinstance(opened, NbprodError) or not local_path(sys.argv[1]):
        return
    if not select.select([0], [], [], QUIET)[0]:
        with contextlib.suppress(NbprodError):
            opened.observed("none", "none", os.devnull)


def _make_database(path: Path) -> None:
    from nbprod.registry.connection import make_database

    make_database(path)


def _reply(opened: Registry | NbprodError, question: dict[str, Any]) -> dict[str, Any]:
    try:
        if isinstance(opened, NbprodError):
            raise opened
        return {"value": plain(_call(opened, question))}
    except NbprodError as error:
        return {"error": plain_error(error)}
    except Exception as error:
        import traceback

        traceback.print_exc()
        message = f"the registry failed in a way nobody foresaw ({type(error).__name__}: {error}); its log tells more."
        return {"error": {"type": "RegistryError", "message": message, "file": None, "stage": None}}


def _call(registry: Registry, question: dict[str, Any]) -> Any:
    method, arguments = question["method"], list(question["arguments"])
    if method == "ready":
        return None
    for position, read in READ.get(method, {}).items():
        arguments[position] = read(arguments[position])
    return getattr(registry, method)(*arguments)


if __name__ == "__main__":
    main()
