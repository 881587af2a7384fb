"""How long registering a model takes, from the end of the last stage to the end of the command."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.pipelines import loaded_modules
from benchmarks.processes import BenchmarkError, Ended, run
from benchmarks.projects import write_registering
from benchmarks.results import alternate
from benchmarks.tools import program

MEASURE = "registering, after the last stage"


def measure(bench: Bench) -> None:
    """Register in new registries, with and without the cached template of MLflow's database, and in one that exists."""
    rounds = bench.scale.cold
    bench.say(f"registering, {rounds} rounds")
    existing = bench.folder("register-existing")
    write_registering(existing)
    _register(bench, existing, bench.work / "cache")

    def again(number: int) -> float:
        return _register(bench, existing, bench.work / "cache", "-p", "train.strength", str(2.0 + number))

    def new(number: int) -> float:
        folder = bench.folder(f"register-new-{number}")
        write_registering(folder)
        return _register(bench, folder, bench.work / "cache")

    def bare(number: int) -> float:
        folder = bench.folder(f"register-bare-{number}")
        write_registering(folder)
        return _register(bench, folder, folder / "empty-cache")

    found = alternate(
        {"new registry": new, "new registry, no template in the cache": bare, "existing registry": again}, rounds
    )
    for name, values in found.items():
        series = bench.results.add(MEASURE, name, values)
        limit = 1.5 if name == "existing registry" else 3.0
        bench.results.at_most(f"{MEASURE}, {name}: at most {limit:g} s", series, limit)
    _reused(bench, existing)


def _register(bench: Bench, folder: Path, cache: Path, *settings: str) -> float:
    """Run the pipeline; returns the seconds from the end of its last stage to the end of the process."""
    command = (program("nbprod"), "run", "--json", *settings)
    ended = run(command, folder=folder, environment=bench.environment(cache=cache))
    said = json.loads(ended.out)
    if not said["version"]:
        raise BenchmarkError(f"nothing was registered:\n{ended.err}")
    return _after_last_stage(folder, said["run"], ended)


def _after_last_stage(folder: Path, run_id: str, ended: Ended) -> float:
    record = json.loads((folder / "runs" / run_id / "run.json").read_text())
    last = max(stage["ended"] for stage in record["stages"] if stage["action"] == "run")
    return ended.at - datetime.fromisoformat(last).timestamp()


def _reused(bench: Bench, folder: Path) -> None:
    """Nothing changed in a project with a registered model: the version is printed, and nothing heavy is loaded."""
    measure = "nothing changed, 2 stages and a registered model"
    times = [bench.run(program("nbprod"), "run", folder=folder).took for _ in range(bench.scale.rounds)]
    series = bench.results.timed(measure, "nbprod", times)
    bench.results.at_most(f"{measure}: at most 0.3 s, whole process", series, 0.3)
    loaded_modules(bench, measure, folder)
