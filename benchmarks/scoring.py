"""``python -m benchmarks.scoring``: rows a second and memory of `nbprod score` beside pandas and MLflow.

All ask the same logistic regression of 30 numbers. nbprod checks every row and has every prediction in its log; the
other reads the whole file into a table, asks MLflow's `predict` and writes the answers, as people do it by hand. Each
runs in a process of its own, whose largest memory is told, its children included. Never part of the tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import BenchmarkError
from benchmarks.serving import COLUMNS, make_model, program

BAR = 500.0
"""MB that the largest file may take."""

GROUP = 1 << 20

PLAIN = """
import sys
import pandas as pd
from mlflow import pyfunc

model, given, to = sys.argv[1:]
rows = pd.read_parquet(given)
pd.DataFrame({"prediction": pyfunc.load_model(model).predict(rows)}).to_parquet(to)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One run.

    Attributes:
        memory: MB, the largest that was seen.
    """

    seconds: float
    memory: float


def main() -> int:
    """Measure and print the table; exit code 1 when more memory was needed than promised."""
    options = _options()
    work = Path(tempfile.mkdtemp(prefix="nbprod-scoring-", dir=options.folder))
    environment = {
        **os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "NBPROD_KEYS": str(work / "keys"),
        "XDG_CACHE_HOME": str(work / "cache"), "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    try:
        folder = make_model(work, environment)
        lines = ["| | rows | file | seconds | rows a second | MB, at most |", "|---|---|---|---|---|---|"]
        found = {}
        for subject, rows, suffix in _runs(options.rows):
            given = _file(work, rows, suffix)
            command = _command(subject, folder, given, work / f"out{suffix}", work)
            runs = [_measured(command, work, environment) for _ in range(options.rounds)]
            found[subject, rows, suffix] = max(run.memory for run in runs)
            seconds = statistics.median(run.seconds for run in runs)
            size = given.stat().st_size / 1e6
            lines.append(
                f"| {subject} | {rows:,} | {suffix[1:]}, {size:,.0f} MB | {seconds:.1f} | {rows / seconds:,.0f} "
                f"| {found[subject, rows, suffix]:,.0f} |"
            )
            print(f"... {lines[-1]}", file=sys.stderr)
        print("\n".join(lines))
        largest = max(memory for (subject, _, _), memory in found.items() if subject == "nbprod score")
        print(f"\nnbprod score took at most {largest:,.0f} MB; the bar is {BAR:,.0f} MB.")
        return int(largest > BAR)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the largest file")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", help="where the files are made (2.4 GB, and as much for the log)")
    return parser.parse_args()


def _runs(rows: int) -> list[tuple[str, int, str]]:
    tenth = rows // 10
    return [
        ("pandas and MLflow", tenth, ".parquet"),
        ("nbprod score", tenth, ".parquet"),
        ("nbprod score", tenth, ".csv"),
        ("nbprod score", rows, ".parquet"),
    ]


def _file(work: Path, rows: int, suffix: str) -> Path:
    """A file of so many rows, written piece by piece."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    path = work / f"{rows}{suffix}"
    if path.exists():
        return path
    dice = np.random.default_rng(1)
    schema = pa.schema([(name, pa.float64()) for name in COLUMNS])
    writer: Any
    if suffix == ".parquet":
        writer = pq.ParquetWriter(path, schema, use_dictionary=False)
    else:
        writer = pyarrow.csv.CSVWriter(path, schema)
    with writer:
        for start in range(0, rows, GROUP):
            count = min(GROUP, rows - start)
            writer.write_table(pa.table([dice.normal(size=count) for _ in COLUMNS], schema=schema))
    return path


def _command(subject: str, folder: Path, given: Path, to: Path, work: Path) -> Sequence[str]:
    if subject == "nbprod score":
        return [*program(), "score", "wide/1", str(given), str(to), "--overwrite", "--predictions", str(work / "log")]
    return [sys.executable, "-c", PLAIN, str(folder), str(given), str(to)]


def _measured(command: Sequence[str], work: Path, environment: Mapping[str, str]) -> Took:
    import psutil  # type: ignore[import-untyped]

    begun, most = time.perf_counter(), 0.0
    with (work / "said.log").open("w") as said:
        process = subprocess.Popen(command, cwd=work, env=dict(environment), stdout=said, stderr=said)
    own = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            most = max(most, sum(item.memory_info().rss for item in [own, *own.children(recursive=True)]) / 1e6)
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise BenchmarkError(f"{command[:4]} failed:\n{(work / 'said.log').read_text()[-2000:]}")
    shutil.rmtree(work / "log", ignore_errors=True)
    return Took(seconds=seconds, memory=most)


if __name__ == "__main__":
    sys.exit(main())
