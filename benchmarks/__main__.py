"""``python -m benchmarks``: measure, print the tables, and write them to docs/benchmarks.md if asked to."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import large, pipelines, registering, releases, report, startup
from benchmarks.bench import FULL, QUICK, Bench
from benchmarks.processes import BenchmarkError
from benchmarks.tools import OTHERS, Nbprod, Papermill, Tool, install

ROOT = Path(__file__).resolve().parent.parent

MEASURES: dict[str, Callable[[Bench], None]] = {
    "startup": startup.measure,
    "pipelines": pipelines.measure,
    "large": large.measure,
    "registering": registering.measure,
    "releases": releases.measure,
}


def main() -> int:
    """Measure; exit code 1 when something that does not depend on the machine's speed is not as promised."""
    options = _options()
    tools: list[Tool] = [Nbprod(), Papermill()]
    tools += [install(name, _environments()) for name in options.others]
    scale = QUICK if options.quick else FULL
    work = Path(tempfile.mkdtemp(prefix="nbprod-bench-", dir=options.folder)).resolve()
    bench = Bench(work=work, scale=scale, tools=tuple(tools), say=lambda text: print(f"... {text}", file=sys.stderr))
    clock, load = time.monotonic(), os.getloadavg()[0]
    try:
        bench.folder("home")
        for name in options.only:
            MEASURES[name](bench)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    seconds = time.monotonic() - clock
    text = report.tables(bench.results, scale=scale, tools=tools, load=load, seconds=seconds)
    print(text)
    if options.write:
        report.write(ROOT / "docs/benchmarks.md", text)
    return 1 if any(bar.kind == "behaviour" and not bar.met for bar in bench.results.bars) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer stages, runs and bytes: a smoke test of a minute")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/benchmarks.md")
    parser.add_argument(
        "--with", dest="others", type=_names(OTHERS), default=[], help=f"other tools: {','.join(OTHERS)}"
    )
    parser.add_argument(
        "--only", type=_names(MEASURES), default=list(MEASURES), help=f"some measures: {','.join(MEASURES)}"
    )
    parser.add_argument("--folder", help="where to work, on the disk to be measured; default: the system's")
    return parser.parse_args()


def _names(known: object) -> Callable[[str], list[str]]:
    """Reads ``a,b`` and refuses what is not known."""

    def read(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        assert isinstance(known, dict)
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there is: {', '.join(known)}")
        return names

    return read


def _environments() -> Path:
    """Where other tools are installed, once: in the repository's own ``.nbprod/``, which ignores itself in git."""
    folder = ROOT / ".nbprod/benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")
