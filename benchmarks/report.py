"""Say what was found: tables in plain markdown, for a terminal and for docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.bench import Scale
from benchmarks.results import Results, Series, shown
from benchmarks.tools import Tool

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

ALSO = ("ipykernel", "jupyterlab", "mlflow-skinny", "nbclient", "pandas", "rfc3987-syntax", "scikit-learn")
"""Packages whose versions matter to the times."""


def tables(results: Results, *, scale: Scale, tools: Sequence[Tool], load: float, seconds: float) -> str:
    """Both tables, and what they were measured on.

    Args:
        results: what was found.
        scale: how much was measured.
        tools: what was compared.
        load: the machine's load before it began (processes, a minute's mean).
        seconds: how long it all took.
    """
    missed = [bar for bar in results.bars if not bar.met]
    verdict = f"{len(results.bars) - len(missed)} of {len(results.bars)} bars are met."
    return "\n\n".join(
        (
            machine(tools, load=load, seconds=seconds),
            f'Alternating order, {scale.cold} to {scale.rounds * 3} runs of each; the medians are compared. "Busy" is '
            "the time of all processors together, which other processes on the machine change less.",
            _table(
                ("measure", "", "median", "min to max", "busy", "runs", "of nbprod", ""), _series_rows(results.series)
            ),
            verdict,
            _table(("bar", "found", "met"), ((b.promise, b.found, "yes" if b.met else "**no**") for b in results.bars)),
        )
    )


def machine(tools: Sequence[Tool], *, load: float, seconds: float) -> str:
    """What was measured on what, when."""
    names = [f"{tool.name} {tool.version}" for tool in tools]
    names += [f"{name} {found}" for name in ALSO if (found := _installed(name))]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    text = (
        f"{date.today()}, {cores} cores ({_processor()}), {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; {', '.join(names)}. It took {seconds / 60:.1f} minutes; "
        f"the machine's load was {load:.1f} before it began."
    )
    return "\n".join(textwrap.wrap(text, 110))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _series_rows(series: Sequence[Series]) -> Iterable[tuple[str, ...]]:
    before = ""
    for item in series:
        ours = next((other for other in series if other.measure == item.measure and other.subject == "nbprod"), None)
        ratio = f"{item.median / ours.median:.2f} x" if ours else ""
        spread = f"{shown(min(item.values), item.unit)} to {shown(max(item.values), item.unit)}"
        yield (
            item.measure if item.measure != before else "",
            item.subject,
            shown(item.median, item.unit),
            spread if len(item.values) > 1 else "",
            shown(item.busy, "s") if item.busy is not None else "",
            str(len(item.values)),
            ratio,
            item.note,
        )
        before = item.measure


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table whose columns also line up in a terminal."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))


def write(page: Path, text: str) -> None:
    """Put the tables between the page's marks; the rest of the page stays."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} must hold the lines {BEGIN} and {END}.")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
