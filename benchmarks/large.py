"""A large file: hashed, planned with, passed from stage to stage."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.processes import Ended, watch
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
    bench.say(f"a file of {bench.scale.large}, {bench.scale.rounds} rounds")
    folder = bench.folder("large")
    write_large(folder, bench.scale.size)
    _hash(bench, folder / "data/input.bin")
    large = _pass(bench, folder)
    _plan(bench, folder)
    small = bench.folder("small")
    write_large(small, SMALL)
    _compare(bench, small=_pass(bench, small), large=large)


def _hash(bench: Bench, file: Path) -> None:
    """Take a sha256 as nbprod does and with the system's program; both read from the page cache."""
    theirs = "sha256sum" if sys.platform != "darwin" else "shasum"
    commands = {
        "nbprod": (sys.executable, "-c", HASH, str(file)),
        theirs: (theirs, *(("-a", "256") if theirs == "shasum" else ()), str(file)),
    }

    def taken(command: tuple[str, ...], number: int) -> Ended:
        return bench.run(*command, folder=file.parent)

    actions = {name: partial(taken, command) for name, command in commands.items()}
    alternate(actions, 1)
    found = alternate(actions, bench.scale.rounds)
    answers = {ended.out.split()[0] for series in found.values() for ended in series}
    bench.results.behaviour("nbprod's sha256 is the system's", f"{len(answers)} answer", len(answers) == 1)
    measure = f"sha256 of {bench.scale.large}, whole process"
    nbprod, system = (
        bench.results.timed(measure, name, [ended.took for ended in series]) for name, series in found.items()
    )
    promise = f"sha256 of {bench.scale.large}: within 10 % of {theirs}, so at least 0.91 times as fast"
    bench.results.ratio(promise, system, nbprod, 1 / 1.1)


def _pass(bench: Bench, folder: Path) -> float:
    """Run the pipeline; returns the most memory that nbprod's own process held (bytes)."""
    command = (program("nbprod"), "run", "--jobs", "1")
    return float(watch(command, folder=folder, environment=bench.environment()).peak or 0)


def _compare(bench: Bench, *, small: float, large: float) -> None:
    """Say how much more memory nbprod holds when a larger artifact passes."""
    for label, peak in (("1 MB", small), (bench.scale.large, large)):
        bench.results.add("memory of nbprod while an artifact passes", label, [peak / MB], unit="MB")
    bench.results.behaviour(
        f"an artifact of {bench.scale.large} passes in bounded memory: at most 40 MB more than one of 1 MB",
        f"{(large - small) / MB:+.0f} MB",
        large - small < 40 * MB,
    )


def _plan(bench: Bench, folder: Path) -> None:
    """Plan with an input that is known and unchanged, beside one whose times have changed."""
    file, command = folder / "data/input.bin", (program("nbprod"), "plan")

    def unchanged(number: int) -> Ended:
        return bench.run(*command, folder=folder)

    def touched(number: int) -> Ended:
        os.utime(file)
        time.sleep(SETTLED)
        return bench.run(*command, folder=folder)

    time.sleep(SETTLED)
    unchanged(0)
    found = alternate({"unchanged since it was read": unchanged, "touched, so read again": touched}, bench.scale.rounds)
    size, measure = bench.scale.size / MB, f"plan with an input of {bench.scale.large}"
    for name, series in found.items():
        read = [ended.read / MB for ended in series if ended.read is not None]
        note = f"{max(read):.1f} MB read in all" if read else ""
        bench.results.timed(measure, name, [ended.took for ended in series], note=note)
        if read and "unchanged" in name:
            promise = f"an unchanged input of {bench.scale.large} is not read again by plan"
            bench.results.behaviour(promise, note, max(read) < 0.2 * size)
