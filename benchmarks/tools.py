"""The tools that are compared: what each must write, and what one types to run it. Add a class here to add a tool.

A tool gets the same notebooks as the others, may use its own way to say what depends on what, and keeps its own default
settings except where these would send something over the network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from benchmarks.processes import BenchmarkError
from benchmarks.projects import TABLE, Step, write_file

JOBS = 2
"""How many stages run at once, where a tool can."""


class Tool(Protocol):
    """A tool that runs notebooks."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...

    @property
    def reuses(self) -> bool:
        """Whether it knows what need not run again."""
        ...

    def write(self, folder: Path, steps: Sequence[Step]) -> None:
        """Write its own files beside the notebooks: once for a new project, and again when a parameter has changed."""
        ...

    def commands(self, folder: Path, steps: Sequence[Step]) -> list[list[str]]:
        """What one types, in order, to bring everything up to date."""
        ...


def program(name: str) -> str:
    """A program of the environment that runs this benchmark."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise BenchmarkError(f"{path} is not there: run the benchmark with the Python that nbprod is installed in.")
    return str(path)


def _table(folder: Path, step: Step, outputs: str) -> str:
    return str(folder / (f"{outputs}/{step.after}.csv" if step.after else TABLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Nbprod:
    """nbprod, two stages at once."""

    name: str = "nbprod"
    reuses: bool = True

    @property
    def version(self) -> str:
        """Its version."""
        return version("nbprod")

    def write(self, folder: Path, steps: Sequence[Step]) -> None:
        """Write the pipeline."""
        stages = {
            step.name: {
                "notebook": step.notebook,
                "params": dict(step.params),
                "inputs": {"table": f"{step.after}.out" if step.after else TABLE},
                "outputs": {"out": step.output},
            }
            for step in steps
        }
        lines = "".join(f"  {name}: {json.dumps(stage)}\n" for name, stage in stages.items())
        write_file(folder / "pipelines/bench.yaml", f"name: bench\nstages:\n{lines}")

    def commands(self, folder: Path, steps: Sequence[Step]) -> list[list[str]]:
        """One command."""
        return [[program("nbprod"), "run", "--jobs", str(JOBS)]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Papermill:
    """papermill's command line, one stage after another, as in a shell script."""

    name: str = "papermill"
    reuses: bool = False

    @property
    def version(self) -> str:
        """Its version."""
        return version("papermill")

    def write(self, folder: Path, steps: Sequence[Step]) -> None:
        """There is nothing to write but a folder."""
        (folder / "out").mkdir(exist_ok=True)

    def commands(self, folder: Path, steps: Sequence[Step]) -> list[list[str]]:
        """A command for each stage."""
        return [papermill_command(folder, step) for step in steps]


def papermill_command(folder: Path, step: Step) -> list[str]:
    """Papermill's command line for one stage, whose output goes to ``out/``."""
    values = {"table": _table(folder, step, "out"), "out": str(folder / "out" / step.output), **step.params}
    given = [word for name, value in values.items() for word in ("-p", name, str(value))]
    return [program("papermill"), step.notebook, f"out/{step.name}.ipynb", "--cwd", "notebooks", *given]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dvc:
    """DVC from an environment of its own; its stages call papermill's command line."""

    environment: Path
    name: str = "DVC"
    reuses: bool = True

    @property
    def version(self) -> str:
        """Its version."""
        return _version(self.environment, "dvc")

    def write(self, folder: Path, steps: Sequence[Step]) -> None:
        """Write ``dvc.yaml`` and, in a new project, what ``dvc init --no-scm`` makes."""
        stages = {
            step.name: {
                "cmd": " ".join(papermill_command(folder, step)),
                "deps": [step.notebook, f"out/{step.after}.csv" if step.after else TABLE],
                "outs": [f"out/{step.output}", {f"out/{step.name}.ipynb": {"cache": False}}],
            }
            for step in steps
        }
        write_file(folder / "dvc.yaml", json.dumps({"stages": stages}, indent=1))
        (folder / "out").mkdir(exist_ok=True)
        if not (folder / ".dvc").exists():
            subprocess.run([self._dvc, "init", "-q", "--no-scm"], cwd=folder, check=True, env=QUIET | os.environ)

    def commands(self, folder: Path, steps: Sequence[Step]) -> list[list[str]]:
        """One command."""
        return [[self._dvc, "repro"]]

    @property
    def _dvc(self) -> str:
        return str(self.environment / "bin/dvc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ploomber:
    """Ploomber from an environment of its own, two stages at once."""

    environment: Path
    name: str = "Ploomber"
    reuses: bool = True

    @property
    def version(self) -> str:
        """Its version."""
        return _version(self.environment, "ploomber")

    def write(self, folder: Path, steps: Sequence[Step]) -> None:
        """Write ``pipeline.yaml``. The notebooks name no ``upstream`` and ``product``, so the file does."""
        tasks = [
            {
                "source": step.notebook,
                "name": step.name,
                "product": {"nb": f"out/{step.name}.ipynb", "data": f"out/{step.output}"},
                "static_analysis": "disable",
                "params": {
                    **step.params,
                    "table": _table(folder, step, "out"),
                    "out": str(folder / "out" / step.output),
                },
                **({"upstream": [step.after]} if step.after else {}),
            }
            for step in steps
        ]
        executor = {"dotted_path": "ploomber.executors.Parallel", "processes": JOBS}
        content = {"meta": {"extract_upstream": False}, "executor": executor, "tasks": tasks}
        write_file(folder / "pipeline.yaml", json.dumps(content, indent=1))
        (folder / "out").mkdir(exist_ok=True)

    def commands(self, folder: Path, steps: Sequence[Step]) -> list[list[str]]:
        """One command."""
        return [[str(self.environment / "bin/ploomber"), "build"]]


QUIET = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PLOOMBER_STATS_ENABLED": "false",
    "PLOOMBER_VERSION_CHECK_DISABLED": "true",
}
"""Environment that keeps the tools from sending anything anywhere."""

OTHERS: Mapping[str, tuple[tuple[str, ...], Callable[[Path], Tool]]] = {
    "dvc": (("dvc>=3.60",), lambda environment: Dvc(environment=environment)),
    "ploomber": (("ploomber>=0.23", "ipykernel", "pandas"), lambda environment: Ploomber(environment=environment)),
}
"""Tools that need an environment of their own: name -> what is installed in it, and the adapter."""


def install(name: str, folder: Path) -> Tool:
    """Make a tool's environment with uv, or find it as it was made before.

    Raises:
        BenchmarkError: it cannot be installed.
    """
    packages, adapter = OTHERS[name]
    environment = folder / name
    if not (environment / "bin" / name).exists():
        uv = program("uv")
        python = str(environment / "bin/python")
        for command in (
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(environment)],
            [uv, "pip", "install", "-q", "--python", python, *packages],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise BenchmarkError(f"{name} could not be installed:\n{done.stderr.strip()}")
    return adapter(environment)


def _version(environment: Path, name: str) -> str:
    question = f"from importlib.metadata import version; print(version('{name}'))"
    return subprocess.run(
        [str(environment / "bin/python"), "-c", question], capture_output=True, text=True, check=True
    ).stdout.strip()
