"""A pipeline of notebooks: run cold, with nothing changed, after an edit of prose, with one parameter changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.processes import BenchmarkError, Took
from benchmarks.projects import Step, chains, edit_markdown, with_factor, write_steps
from benchmarks.results import alternate
from benchmarks.tools import JOBS, Tool, program

HEAVY = ("mlflow", "papermill", "nbformat", "pandas", "sklearn")
"""What a run that changes nothing must not load."""


def measure(bench: Bench) -> None:
    """All measures of a pipeline."""
    steps = chains(bench.scale.chains, bench.scale.length)
    projects = _cold(bench, steps)
    _unchanged(bench, projects, steps)
    _prose(bench, projects, steps)
    _parameter(bench, projects, steps)


def _run(bench: Bench, tool: Tool, folder: Path, steps: Sequence[Step]) -> tuple[Took, list[str]]:
    """How long a tool's commands took, and the stages that they ran."""
    bench.ran()
    took = Took(0.0, 0.0)
    for command in tool.commands(folder, steps):
        took += bench.run(*command, folder=folder).took
    return took, bench.ran()


def _cold(bench: Bench, steps: tuple[Step, ...]) -> dict[str, Path]:
    """Run everything in new projects; returns the last project of each tool."""
    count, projects = len(steps), dict[str, Path]()
    bench.say(f"cold run of {count} stages, {bench.scale.cold} rounds")

    def cold(tool: Tool, number: int) -> Took:
        folder = projects[tool.name] = bench.folder(f"cold-{tool.name}-{number}")
        write_steps(folder, steps)
        tool.write(folder, steps)
        took, ran = _run(bench, tool, folder, steps)
        if ran != sorted(step.name for step in steps):
            raise BenchmarkError(f"{tool.name} ran {len(ran)} of {count} stages: {' '.join(ran)}")
        return took

    _warm_up(bench, steps[:1])
    found = alternate({tool.name: partial(cold, tool) for tool in bench.tools}, bench.scale.cold)
    series = {}
    for name, values in found.items():
        note = {"nbprod": f"--jobs {JOBS}", "Ploomber": f"{JOBS} processes"}.get(name, "one after another")
        series[name] = bench.results.timed(f"cold run, {count} stages", name, values, note=note)
    bench.results.ratio(
        f"cold run of {count} stages with {JOBS} jobs: 1.7 times faster than papermill's command line",
        series["papermill"],
        series["nbprod"],
        1.7,
    )
    return projects


def _warm_up(bench: Bench, steps: tuple[Step, ...]) -> None:
    """Let every tool run one stage, so that nobody pays for compiled files and folders that all find later."""
    for tool in bench.tools:
        folder = bench.folder(f"warm-up-{tool.name}")
        write_steps(folder, steps)
        tool.write(folder, steps)
        _run(bench, tool, folder, steps)


def _unchanged(bench: Bench, projects: dict[str, Path], steps: tuple[Step, ...]) -> None:
    """Nothing changed: no stage may run."""
    measure, rounds = f"nothing changed, {len(steps)} stages", bench.scale.rounds * 2
    bench.say(f"{measure}, {rounds} rounds")
    found, ran = _warm(bench, projects, rounds, lambda tool, number: steps)
    for name, values in found.items():
        series = bench.results.timed(measure, name, values, note=_counted(ran[name]))
        if name == "nbprod":
            bench.results.at_most(f"{measure}: at most 0.3 s, whole process", series, 0.3)
            bench.results.behaviour(f"{measure}: no stage runs", _counted(ran[name]), not any(ran[name]))
    plans = [bench.run(program("nbprod"), "plan", folder=projects["nbprod"]).took for _ in range(rounds)]
    bench.results.timed(measure, "nbprod plan", plans)
    loaded_modules(bench, measure, projects["nbprod"])


def _prose(bench: Bench, projects: dict[str, Path], steps: tuple[Step, ...]) -> None:
    """Edit the prose of a first stage's notebook: no stage need run."""
    measure = "after an edit of a markdown cell"
    bench.say(f"{measure}, {bench.scale.rounds} rounds")

    def edit(tool: Tool, number: int) -> tuple[Step, ...]:
        edit_markdown(projects[tool.name], steps[0], number + 1)
        return steps

    found, ran = _warm(bench, projects, bench.scale.rounds, edit)
    for name, values in found.items():
        bench.results.timed(measure, name, values, note=_counted(ran[name]))
    bench.results.behaviour(f"{measure}: no stage runs", _counted(ran["nbprod"]), not any(ran["nbprod"]))


def _parameter(bench: Bench, projects: dict[str, Path], steps: tuple[Step, ...]) -> None:
    """Change the parameter of a leaf, then of a stage in the middle of a chain."""
    length = bench.scale.length
    middle = (length + 1) // 2
    for measure, changed, expected in (
        ("one leaf's parameter changed", steps[length - 1], steps[length - 1 : length]),
        (
            f"the parameter of stage {middle} of a chain of {length} changed",
            steps[middle - 1],
            steps[middle - 1 : length],
        ),
    ):
        bench.say(f"{measure}, {bench.scale.rounds} rounds")

        def change(tool: Tool, number: int, changed: Step = changed) -> tuple[Step, ...]:
            new = with_factor(steps, changed.name, 2.0 + number)
            tool.write(projects[tool.name], new)
            return new

        found, ran = _warm(bench, projects, bench.scale.rounds, change)
        for name, values in found.items():
            bench.results.timed(measure, name, values, note=_counted(ran[name]))
        names = sorted(step.name for step in expected)
        bench.results.behaviour(
            f"{measure}: only it and what depends on it runs",
            _counted(ran["nbprod"]),
            all(one == names for one in ran["nbprod"]),
        )
        for tool in bench.tools:
            tool.write(projects[tool.name], steps)
            if tool.reuses:
                _run(bench, tool, projects[tool.name], steps)


def _warm(
    bench: Bench, projects: dict[str, Path], rounds: int, prepare: Callable[[Tool, int], tuple[Step, ...]]
) -> tuple[dict[str, list[Took]], dict[str, list[list[str]]]]:
    """Time the tools that reuse results, in projects that ran before; with the stages that ran, one list a round."""
    ran: dict[str, list[list[str]]] = {tool.name: [] for tool in bench.tools if tool.reuses}

    def warm(tool: Tool, number: int) -> Took:
        steps = prepare(tool, number)
        took, names = _run(bench, tool, projects[tool.name], steps)
        ran[tool.name].append(names)
        return took

    return alternate({tool.name: partial(warm, tool) for tool in bench.tools if tool.reuses}, rounds), ran


def _counted(ran: list[list[str]]) -> str:
    counts = sorted({len(names) for names in ran})
    return f"{' or '.join(str(count) for count in counts)} stages ran" if counts != [1] else "1 stage ran"


def loaded_modules(bench: Bench, what: str, folder: Path, *words: str) -> None:
    """Ask Python which modules a verb loads, by default a run that changes nothing."""
    import sys

    ended = bench.run(sys.executable, "-X", "importtime", program("nbprod"), *(words or ("run",)), folder=folder)
    names = {line.rpartition("|")[2].strip() for line in ended.err.splitlines() if line.startswith("import time:")}
    heavy = [name for name in HEAVY if name in {module.partition(".")[0] for module in names}]
    bench.results.behaviour(
        f"{what}: none of {', '.join(HEAVY)} is loaded",
        f"{len(names)} modules, {', '.join(heavy) or 'none of these'}",
        not heavy and "nbprod.cli" in names,
    )
