"""A project on disk that is used as people use it: by the command line, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

PROGRAM = [sys.executable, "-P", "-c", "from nbprod.cli import main; main()"]
"""`nbprod`; -P because an installed command does not see the working folder's modules either."""

PAPERMILL = [sys.executable, "-m", "papermill"]
LIMIT = 240
"""Seconds after which a process is taken to hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A process that ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


class Project:
    """A folder with notebooks and pipelines.

    Args:
        root: the folder.
        environment: variables of every process that is started for it.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = dict(environment)
        root.mkdir(parents=True, exist_ok=True)

    def nbprod(self, *arguments: str, code: int = 0) -> Done:
        """Run a verb and expect its exit code."""
        return self.call(*PROGRAM, *arguments, code=code)

    def document(self, *arguments: str, code: int = 0) -> Any:
        """Run a verb with ``--json`` and read the document that it prints."""
        return self.nbprod(*arguments, "--json", code=code).document

    def call(self, *command: str, code: int = 0, folder: Path | None = None, **variables: str) -> Done:
        """Run any command in the project and expect its exit code."""
        ended = subprocess.run(
            command,
            cwd=folder or self.root,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        done = Done(code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
        assert done.code == code, f"{command[4:]} exited with {done.code}\n{done.stdout}\n{done.stderr}"
        return done

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Begin a verb; when the block ends it is killed if it still runs."""
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def write(self, name: str, text: str) -> Path:
        """Write a text file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def notebook(self, name: str, *cells: Any, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write a notebook as JupyterLab saves it; a text is a code cell."""
        content = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": KERNEL if metadata is None else dict(metadata),
            "cells": [
                {**(code(cell) if isinstance(cell, str) else cell), "id": f"cell-{number}"}
                for number, cell in enumerate(cells, 1)
            ],
        }
        return self.write(name, json.dumps(content, indent=1))

    def read(self, name: str) -> Any:
        """Read a JSON file, such as a notebook."""
        return json.loads((self.root / name).read_text(encoding="utf-8"))

    def files(self, folder: str) -> dict[str, bytes]:
        """Every file under a folder with its bytes; what Python leaves beside modules does not count."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted((self.root / folder).rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }

    def registered(self, name: str, version: str) -> Path:
        """The folder that the registry keeps of a version."""
        uri = self.registry().get_model_version_download_uri(name, version)
        return Path(unquote(urlsplit(uri).path))

    def registry(self) -> Any:
        """MLflow's own client of the project's registry."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient

            uri = f"sqlite:///{self.root / '.nbprod' / 'mlflow.db'}"
            return MlflowClient(tracking_uri=uri, registry_uri=uri)


KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""The metadata of a notebook that JupyterLab saved."""


def code(source: str, *tags: str) -> dict[str, Any]:
    """A code cell."""
    return {
        "cell_type": "code", "source": source, "metadata": {"tags": list(tags)}, "outputs": [], "execution_count": None,
    }  # fmt: skip


def parameters(source: str) -> dict[str, Any]:
    """The parameters cell."""
    return code(source, "parameters")


def markdown(source: str) -> dict[str, Any]:
    """A markdown cell."""
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def printed(notebook: Any) -> str:
    """Everything that the cells of an executed notebook printed."""
    return "".join(
        "".join(output["text"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if output["output_type"] == "stream"
    )


def stages(report: Any) -> dict[str, tuple[str, str]]:
    """Stage -> action and status, of what ``run --json`` prints."""
    return {stage["name"]: (stage["action"], stage["status"]) for stage in report["stages"]}


def actions(report: Any) -> dict[str, str]:
    """Stage -> action, of what ``plan --json`` or ``run --json`` prints."""
    return {stage["name"]: stage["action"] for stage in report["stages"]}


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    import psutil  # type: ignore[import-untyped]

    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for(what: str, condition: Callable[[], object], *, seconds: float = 60) -> None:
    """Wait until a condition holds; it fails only when something hangs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.05)


def clean_environment(cache: Path) -> dict[str, str]:
    """The variables of this process without those that lead nbprod or MLflow elsewhere, and with caches of its own."""
    elsewhere = ("NBPROD_", "MLFLOW_", "_MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(elsewhere)}
    return {
        **kept,
        "XDG_CACHE_HOME": str(cache),
        "XDG_CONFIG_HOME": str(cache / "config"),
        "IPYTHONDIR": str(cache / "ipython"),
        "DO_NOT_TRACK": "true",
    }
