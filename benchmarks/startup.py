"""What it costs to start: ``nbprod --help`` and ``import nbprod``."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.bench import Bench
from benchmarks.processes import Ended
from benchmarks.results import alternate
from benchmarks.tools import program

IMPORT = "import time; start = time.perf_counter(); import nbprod; print(time.perf_counter() - start)"


def measure(bench: Bench) -> None:
    """Start Python, nbprod's help and papermill's in turn."""
    rounds, folder = bench.scale.rounds * 3, bench.folder("startup")
    bench.say(f"starting, {rounds} rounds")
    commands = {
        "nbprod": (program("nbprod"), "--help"),
        "papermill": (program("papermill"), "--help"),
        "python -c pass": (sys.executable, "-c", "pass"),
        "import nbprod": (sys.executable, "-c", IMPORT),
    }

    def start(command: tuple[str, ...], number: int) -> Ended:
        return bench.run(*command, folder=folder)

    found = alternate({name: partial(start, command) for name, command in commands.items()}, rounds)
    imported = found.pop("import nbprod")
    for name, ended in found.items():
        series = bench.results.timed("--help, whole process", name, [one.took for one in ended])
        if name == "nbprod":
            bench.results.at_most("nbprod --help: at most 0.15 s, whole process", series, 0.15)
    series = bench.results.add("import nbprod, the statement alone", "nbprod", [float(one.out) for one in imported])
    bench.results.at_most("import nbprod: at most 40 ms", series, 0.040)
