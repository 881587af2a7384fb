"""How much is measured, where, and with which environment: the same for all measures of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Ended, run
from benchmarks.projects import RAN
from benchmarks.results import Results
from benchmarks.tools import QUIET, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        chains: independent chains of stages, of `length` each.
        cold: rounds of what takes a minute.
        rounds: rounds of what takes seconds or less.
        size: bytes of the large file.
        large: how the tables call that file.
    """

    chains: int
    length: int
    cold: int
    rounds: int
    size: int
    large: str


FULL = Scale(chains=4, length=5, cold=3, rounds=5, size=1_000_000_000, large="1 GB")
QUICK = Scale(chains=2, length=2, cold=1, rounds=2, size=50_000_000, large="50 MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every measure needs.

    Attributes:
        work: an empty folder for projects; also the home and the cache of all that runs.
        tools: nbprod first, papermill second.
        say: prints a line of progress.
    """

    work: Path
    scale: Scale
    tools: tuple[Tool, ...]
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)

    def folder(self, name: str) -> Path:
        """A new folder in the working folder."""
        path = self.work / name
        path.mkdir(parents=True)
        return path

    def environment(self, *, cache: Path | None = None) -> dict[str, str]:
        """Variables for what runs: nothing of the user's home, caches, registries and settings of Python.

        Args:
            cache: another folder for caches than the run's.
        """
        hidden = ("NBPROD_", "MLFLOW_", "_MLFLOW_", "JUPYTER_", "XDG_", "PYTHON")
        found = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        return found | {
            "HOME": str(self.work / "home"),
            "XDG_CACHE_HOME": str(cache or self.work / "cache"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            RAN: str(self.work / "ran.txt"),
            **QUIET,
        }

    def run(self, *command: str, folder: Path) -> Ended:
        """Run a command of a project."""
        return run(command, folder=folder, environment=self.environment())

    def ran(self) -> list[str]:
        """Names of the stages that ran since this was last asked, sorted."""
        path = self.work / "ran.txt"
        names = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(names)
