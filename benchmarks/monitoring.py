"""How fast rows are compared with a profile, beside a full scan: ``python -m benchmarks.monitoring``.

Each measure is a process of its own, timed from its start to its end, with the most memory that it held. The reference
has a million rows of 20 columns and was profiled before: by the library, which only counts and tests for drift, and by
the verb, on a registered model and files with its answers and the truth, of which it also says how good and how fair
they are. Evidently cannot be imported beside pandas 3: it is measured in an environment of its own, if one is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.false_alarms import DOCS, write

BEGIN, END = "<!-- monitoring speed: begin -->", "<!-- monitoring speed: end -->"
COLUMNS = 20
TIMES = 3

MAKE = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
folder, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = np.random.default_rng(seed)
writer = None
for start in range(0, count, 1 << 20):
    rows = min(1 << 20, count - start)
    made = {f"x{i}": chance.normal(size=rows).astype("float32" if i % 2 else "float64") for i in range(14)}
    made |= {f"n{i}": chance.integers(0, 100, rows) for i in range(3)}
    for i in range(3):
        codes = chance.integers(0, 5, rows)
        made[f"c{i}"] = pa.DictionaryArray.from_arrays(codes, ["a", "b", "c", "d", "e"]).cast("string")
    if len(sys.argv) > 4:
        score = 1 / (1 + np.exp(-made["x0"] - made["x2"]))
        made["y"] = (chance.uniform(size=rows) < score).astype("int64")
        if sys.argv[4] == "answers":
            made |= {"prediction": (score > 0.5).astype("int64"), "score": score}
    table = pa.table(made)
    writer = writer or pq.ParquetWriter(folder, table.schema)
    writer.write_table(table, row_group_size=1 << 17)
writer.close()
"""

PROFILE = """
import sys, pyarrow.parquet as pq
from nbprod.monitoring.profile import reference_of, write_profile
table = pq.read_table(sys.argv[1])
open(sys.argv[2], "wb").write(write_profile(reference_of([table], table.column_names, dataset="train")))
"""

NBPROD = """
import sys
from pathlib import Path
from nbprod.monitoring.profile import file_profile, read_profile
from nbprod.monitoring.drift import compare
known = read_profile(Path(sys.argv[1]).read_bytes(), file="profile")
own = file_profile(Path(sys.argv[2]), known)
found = {
    name: compare(column, own.columns[name], test="auto", options={}, alpha=0.05 / len(known.columns), effect=0.03)
    for name, column in known.columns.items()
}
print(own.rows, sum(one.drifted for one in found.values()))
"""

SCAN = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
rows, total = 0, 0.0
with pq.ParquetFile(sys.argv[2], pre_buffer=False) as file:
    for batch in file.iter_batches(1 << 17):
        rows += len(batch)
        for column in batch.columns:
            if not pa.types.is_string(column.type):
                total += float(column.to_numpy(zero_copy_only=False).sum())
print(rows, total)
"""

TRAIN = """
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import nbprod

rows = pd.read_parquet(train).head(20_000)
numbers = make_column_transformer(("passthrough", make_column_selector(dtype_include="number")))
model = make_pipeline(numbers, LogisticRegression(max_iter=500)).fit(rows.drop(columns="y"), rows["y"])
nbprod.log_metric("accuracy", model.score(rows.drop(columns="y"), rows["y"]))
nbprod.log_model(model, example=rows.drop(columns="y").head())
"""

PIPELINE = """
name: wide
stages:
  train: {notebook: wide.ipynb, inputs: {train: ./train.parquet, test: ./test.parquet}}
model:
  {name: wide, from: train.model, main_metric: accuracy, data: {train: ./train.parquet, test: ./test.parquet},
   target: y, groups: [c0], owner: a benchmark}
"""

EVIDENTLY = """
import sys, pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current = pd.read_parquet(sys.argv[1]), pd.read_parquet(sys.argv[2])
print(len(str(Report([DataDriftPreset()]).run(current, reference).dict())))
"""

MERGE = """
import json, sys, time
from pathlib import Path
from nbprod.monitoring.profile import Profile, file_profile, merge, read_profile
known = read_profile(Path(sys.argv[1]).read_bytes(), file="profile")
day = json.dumps(file_profile(Path(sys.argv[2]), known).to_dict())
begun = time.perf_counter()
total = known.empty()
for _ in range(365):
    total = merge(total, Profile.from_dict(json.loads(day)))
print(total.rows, time.perf_counter() - begun)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a process took.

    Attributes:
        seconds: the best of several.
        busy: seconds of processors, which a machine that does other things too makes no longer.
        memory: the most bytes that it held.
    """

    seconds: float
    busy: float
    memory: int
    said: str


def measure(python: str, code: str, *arguments: str, times: int = TIMES) -> Taken:
    """Run code in a process of its own, several times."""
    return timed([python, "-c", code, *arguments], times=times)


def timed(command: Sequence[str], *, times: int = TIMES, folder: Path | None = None) -> Taken:
    """Run a command several times; of each number the best, of memory the most."""
    best, busy, memory, said = float("inf"), float("inf"), 0, ""
    environment = {**os.environ, "DO_NOT_TRACK": "true"}
    for _ in range(times):
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, cwd=folder
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"benchmark: a process failed with {process.returncode}.")
        best, memory = min(best, time.perf_counter() - begun), max(memory, usage.ru_maxrss * 1024)
        busy = min(busy, usage.ru_utime + usage.ru_stime)
    return Taken(seconds=best, busy=busy, memory=memory, said=said.strip())


def notebook(parameters: str, *cells: str) -> dict[str, Any]:
    """A notebook whose first cell holds its parameters."""

    def cell(number: int, text: str, tags: Sequence[str]) -> dict[str, Any]:
        fixed: dict[str, Any] = {
            "cell_type": "code",
            "execution_count": None,
            "outputs": [],
            "metadata": {"tags": list(tags)},
        }
        return {**fixed, "id": f"cell-{number}", "source": text}

    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = [cell(0, parameters, ["parameters"]), *(cell(n, text, []) for n, text in enumerate(cells, 1))]
    return {"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def verb(project: Path, large: int) -> dict[str, Taken]:
    """What ``nbprod monitor`` takes, on a registered model and files with answers and truth."""
    for name, count, seed, columns in (
        ("train.parquet", 1_000_000, 0, "truth"), ("test.parquet", 20_000, 3, "truth"),
        ("small.parquet", 100_000, 1, "answers"), ("large.parquet", large, 2, "answers"),
    ):  # fmt: skip
        measure(sys.executable, MAKE, str(project / name), str(count), str(seed), columns, times=1)
    cells = ('train = "train.parquet"  # input\ntest = "test.parquet"  # input', TRAIN)
    (project / "wide.ipynb").write_text(json.dumps(notebook(*cells)), encoding="utf-8")
    (project / "pipelines").mkdir()
    (project / "pipelines/wide.yaml").write_text(PIPELINE, encoding="utf-8")
    program = str(Path(sys.executable).with_name("nbprod"))
    timed([program, "run"], times=1, folder=project)
    asked = [program, "monitor", "wide", "--json", "--input"]
    found = {"nbprod monitor, 100,000 rows": timed([*asked, "small.parquet"], folder=project)}
    page = timed([*asked, "small.parquet", "--html", "page.html"], folder=project)
    found["nbprod monitor --html, 100,000 rows"] = page
    found[f"nbprod monitor, {large:,} rows"] = timed([*asked, "large.parquet"], folder=project)
    return found


def table(*, large: int, evidently: str | None) -> tuple[str, bool]:
    """The table as Markdown, and whether all bars were met."""
    found: dict[str, Taken] = {}
    with tempfile.TemporaryDirectory(prefix="nbprod-bench-") as scratch:
        reference, small, big, profile = (
            str(Path(scratch, name)) for name in ("r.parquet", "s.parquet", "b.parquet", "p")
        )
        for path, count, seed in ((reference, 1_000_000, 0), (small, 100_000, 1), (big, large, 2)):
            measure(sys.executable, MAKE, path, str(count), str(seed), times=1)
        measure(sys.executable, PROFILE, reference, profile, times=1)
        for size, path in (("100,000", small), (f"{large:,}", big)):
            found[f"numpy, only reading and summing, {size} rows"] = measure(sys.executable, SCAN, profile, path)
            found[f"nbprod, {size} rows"] = measure(sys.executable, NBPROD, profile, path)
        merged = measure(sys.executable, MERGE, profile, small, times=1)
        for path in (reference, big) if not evidently else (big,):
            Path(path).unlink()
        Path(scratch, "project").mkdir()
        found |= verb(Path(scratch, "project"), large)
        if evidently:
            found["Evidently, 100,000 rows"] = measure(evidently, EVIDENTLY, reference, small, times=1)
    bars = _bars(found, merged, large)
    lines = ["| | seconds, whole process | of processors | MB |", "|---|---|---|---|"]
    lines += [f"| {name} | {t.seconds:.2f} | {t.busy:.2f} | {t.memory / 1e6:.0f} |" for name, t in found.items()]
    said = [f"- {'met' if good else '**missed**'}: {words}" for words, good in bars.items()]
    load = os.getloadavg()[0]
    machine = f"{os.cpu_count()} processors (load {load:.1f})"
    about = f"{COLUMNS} columns, a reference of 1,000,000 rows, {machine}; the best of {TIMES}."
    return "\n".join([about, "", *lines, "", *said, ""]), all(bars.values())


def _bars(found: Mapping[str, Taken], merged: Taken, large: int) -> dict[str, bool]:
    small, big = found["nbprod, 100,000 rows"], found[f"nbprod, {large:,} rows"]
    ratio = big.seconds / found[f"numpy, only reading and summing, {large:,} rows"].seconds
    days = float(merged.said.split()[1])
    scan = found[f"numpy, only reading and summing, {large:,} rows"].seconds
    said, all_rows = found["nbprod monitor, 100,000 rows"], found[f"nbprod monitor, {large:,} rows"]
    page = found["nbprod monitor --html, 100,000 rows"].seconds - said.seconds
    bars = {
        f"100,000 rows within 1 s ({small.seconds:.2f} s)": small.seconds <= 1,
        f"{large:,} rows within 3 times the scan ({ratio:.1f} times)": ratio <= 3,
        f"{large:,} rows within 400 MB ({big.memory / 1e6:.0f} MB)": big.memory <= 400e6,
        f"a year of days read and merged within 1 s ({days:.2f} s)": days <= 1,
    }
    bars |= {
        f"the verb: 100,000 rows within 1 s ({said.seconds:.2f} s)": said.seconds <= 1,
        f"the verb: the page adds no more than 0.5 s ({page:.2f} s)": page <= 0.5,
        f"the verb: {large:,} rows within 3 times the scan ({all_rows.seconds / scan:.1f} times)": all_rows.seconds
        <= 3 * scan,
        f"the verb: {large:,} rows within 400 MB ({all_rows.memory / 1e6:.0f} MB)": all_rows.memory <= 400e6,
    }
    if "Evidently, 100,000 rows" in found:
        other = found["Evidently, 100,000 rows"].seconds
        for name, own in (("", small), ("the verb: ", said)):
            bars[f"{name}at least 25 times as fast as Evidently ({other / own.seconds:.0f} times)"] = (
                other >= 25 * own.seconds
            )
    return bars


def main() -> int:
    """Print the table, and write it into the docs if asked to; exit code 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the large file")
    parser.add_argument("--evidently", metavar="PYTHON", help="an interpreter that has Evidently")
    parser.add_argument("--write", action="store_true", help="write the table to docs/monitoring.md")
    parser.add_argument("--json", action="store_true", help="say only whether the bars were met")
    options = parser.parse_args()
    text, good = table(large=options.rows, evidently=options.evidently)
    print(json.dumps({"met": good}) if options.json else text)
    if options.write:
        write(DOCS, text, begin=BEGIN, end=END)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
