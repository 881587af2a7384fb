"""A large file: hashed, planned with, passed from stage to stage."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.processes import watch
from benchmarks.projects import write_large
from benchmarks.results import alternate
from benchmarks.tools import program

HASH = "import sys, pathlib; from nbprod.digest import sha256_file; print(sha256_file(pathlib.Path(sys.argv[1])))"
MB = 1_000_000
SMALL = 1 * MB
SETTLED = 2.5
"""Seconds after which nbprod takes a file's times for an answer."""


def measure(bench: Bench) -> None:
    """All measures of a large file."""
    size, name = bench.scale.size, bench.scale.large
    bench.say(f"a file of {name}")
    folder = bench.folder("large")
    write_large(folder, size)
    _hash(bench, folder / "data/input.bin")
    time.sleep(SETTLED)
    peaks = {bench.scale.large: _pass(bench, folder)}
    _plan(bench, folder)
    small = bench.folder("small")
    write_large(small, SMALL)
    peaks["1 MB"] = _pass(bench, small)
    for label, peak in reversed(peaks.items()):
        bench.results.add("memory of nbprod while a file passes", label, [peak / MB], unit="MB")
    grown = (peaks[name] - peaks["1 MB"]) / MB
    bench.results.behaviour(
        f"an artifact of {name} passes between stages in bounded memory",
        f"{grown:+.0f} MB compared with an artifact of 1 MB",
        grown < max(50, 0.05 * size / MB),
    )


def _hash(bench: Bench, file: Path) -> None:
    """sha256 as nbprod takes it, beside the system's program; both read from the page cache."""
    measure = f"sha256 of {bench.scale.large}, whole process"
    ours = (sys.executable, "-c", HASH, str(file))
    theirs = ("sha256sum", str(file)) if sys.platform != "darwin" else ("shasum", "-a", "256", str(file))
    answers = {bench.run(*command, folder=file.parent).out.split()[0] for command in (ours, theirs)}
    bench.results.behaviour("both say the same sha256", f"{len(answers)} answer", len(answers) == 1)
    found = alternate(
        {
            "nbprod": lambda number: bench.run(*ours, folder=file.parent).seconds,
            theirs[0]: lambda number: bench.run(*theirs, folder=file.parent).seconds,
        },
        bench.scale.rounds,
    )
    nbprod, system = (bench.results.add(measure, name, values) for name, values in found.items())
    bench.results.ratio(
        f"sha256 of {bench.scale.large}: within 10 % of {theirs[0]} (at least 0.91 times as fast)",
        system,
        nbprod,
        1 / 1.1,
    )


def _pass(bench: Bench, folder: Path) -> float:
    """Run the pipeline; returns the most memory that nbprod's own process held (bytes)."""
    command = (program("nbprod"), "run", "--jobs", "1")
    return float(watch(command, folder=folder, environment=bench.environment()).peak or 0)


def _plan(bench: Bench, folder: Path) -> None:
    """Plan with an input that is known and unchanged, beside one whose times have changed."""
    file, command = folder / "data/input.bin", (program("nbprod"), "plan")

    def known(number: int) -> float:
        ended = bench.run(*command, folder=folder)
        read.append(ended.read)
        return ended.seconds

    def touched(number: int) -> float:
        moment = time.time_ns() - (number + 10) * 1_000_000_000
        import os

        os.utime(file, ns=(moment, moment))
        time.sleep(SETTLED)
        return bench.run(*command, folder=folder).seconds

    read: list[int | None] = []
    time.sleep(SETTLED)
    bench.run(*command, folder=folder)
    found = alternate({"unchanged": known, "touched": touched}, bench.scale.rounds)
    bench.results.add(f"plan with an input of {bench.scale.large}", "unchanged since it was read", found["unchanged"])
    bench.results.add(f"plan with an input of {bench.scale.large}", "touched, so read again", found["touched"])
    counted = [count / MB for count in read if count is not None]
    if counted:
        bench.results.behaviour(
            f"an unchanged input of {bench.scale.large} is not read again by plan",
            f"plan read {max(counted):.1f} MB in all",
            max(counted) < 0.2 * bench.scale.size / MB,
        )
