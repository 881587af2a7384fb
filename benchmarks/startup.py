"""What it costs to start: ``nbprod --help`` and ``import nbprod``."""

from __future__ import annotations

import sys

from benchmarks.bench import Bench
from benchmarks.results import alternate
from benchmarks.tools import program

IMPORT = "import time; start = time.perf_counter(); import nbprod; print(time.perf_counter() - start)"


def measure(bench: Bench) -> None:
    """Start Python, nbprod's help and others' in turn."""
    rounds = bench.scale.rounds * 3
    bench.say(f"starting, {rounds} rounds")
    folder = bench.folder("startup")

    def help_of(name: str, number: int) -> float:
        return bench.run(program(name), "--help", folder=folder).seconds

    found = alternate(
        {
            "nbprod": lambda number: help_of("nbprod", number),
            "papermill": lambda number: help_of("papermill", number),
            "python -c pass": lambda number: bench.run(sys.executable, "-c", "pass", folder=folder).seconds,
            "import nbprod": lambda number: float(bench.run(sys.executable, "-c", IMPORT, folder=folder).out),
        },
        rounds,
    )
    imported = found.pop("import nbprod")
    for name, values in found.items():
        series = bench.results.add("--help, whole process", name, values)
        if name == "nbprod":
            bench.results.at_most("nbprod --help: at most 0.15 s, whole process", series, 0.15)
    series = bench.results.add("import nbprod, the statement alone", "nbprod", imported)
    bench.results.at_most("import nbprod: at most 40 ms", series, 0.040)
