"""Files are scored from the command line: here, on a Dask cluster, and killed on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nbprod.predictions.reading import read_table
from tests.functional.conftest import Make
from tests.functional.project import Project, parameters, wait_for

pytestmark = pytest.mark.slow

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression

import nbprod

rows = pd.read_csv(train)
model = LogisticRegression().fit(rows[["a", "b"]], rows["y"])
nbprod.log_model(model, example=rows[["a", "b"]].head())
"""

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1")
    with LocalCluster(**options) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with a model, a file that fits it, and one with bad rows."""
    made = make_project("scoring")
    lines = [f"{i % 100 / 100},{i * 31 % 100 / 100},{int(i % 100 > 50)}" for i in range(300)]
    made.write("train.csv", "a,b,y\n" + "\n".join(lines) + "\n")
    made.notebook("toy.ipynb", parameters('train = "train.csv"  # input'), TRAIN)
    made.document("run", "toy.ipynb")
    rows = [f"c{n},{n % 7 / 7},{n % 5 / 5},{n % 2}" for n in range(50)]
    made.write("new.csv", "id,a,b,truth\n" + "\n".join(rows) + "\n")
    rows[9] = "c9,high,0.5,1"
    rows[20] = "c20,0.5,0.5"
    made.write("bad.csv", "id,a,b,truth\n" + "\n".join(rows) + "\n")
    return made


@pytest.fixture(scope="module")
def scheduler(project: Project) -> Iterator[str]:
    """The address of a scheduler with two workers, processes of their own."""
    script = project.write("cluster.py", CLUSTER)
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, cwd=project.root, env=project.environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdin is not None
        try:
            yield process.stdout.readline().strip()
            process.stdin.close()
            process.wait(timeout=60)
        finally:
            process.kill()


def test_what_was_scored_is_in_the_log_and_takes_feedback(project: Project) -> None:
    done = project.nbprod("score", "toy/1", "new.csv", "scored.csv", "--keep", "id", "--keep", "truth", "--proba")
    assert done.stdout.startswith("toy/1 scored 50 rows in ") and done.stdout.rstrip().endswith("scored.csv")
    assert "next: nbprod feedback toy scored.csv --truth COLUMN" in done.stderr
    found = pyarrow.csv.read_csv(project.root / "scored.csv")
    assert found.column_names == [
        "id", "truth", "prediction", "probability_0", "probability_1", "request", "row",
    ]  # fmt: skip
    told = project.document("feedback", "toy", "scored.csv")
    assert (told["recorded"], told["unknown"], told["unclear"]) == (50, 0, 0)
    log = read_table(project.root / ".nbprod/predictions/toy", roles=["batch"])
    assert log.num_rows == 50 and "id" not in log.column_names


def test_bad_rows_end_it_or_are_set_aside(project: Project) -> None:
    done = project.nbprod("score", "toy", "bad.csv", "out.csv", code=4)
    assert done.stderr == (
        "error: bad.csv:11: expected number in the column 'a' of row 10; nothing was written: correct it, or set bad "
        "rows aside with --on-error quarantine.\n"
    )
    assert not list(project.root.glob("*out*"))
    found = project.document("score", "toy", "bad.csv", "out.csv", "--on-error", "quarantine", "--keep", "id", code=6)
    assert (found["rows"], found["rejected"], found["rejects"]) == (48, 2, "out.rejected.csv")
    assert found["ignored"] == ["truth"]
    rejected = pyarrow.csv.read_csv(project.root / "out.rejected.csv").to_pylist()
    assert [(row["rejected_row"], row["a"]) for row in rejected] == [(10, "high"), (21, "")]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("toy@champion", "new.csv", "x.csv"), 7, "the model 'toy' has no alias 'champion'"),
        (("toy", "new.csv", "train.csv"), 2, "train.csv: is there already: move it away, name another, or say --over"),
        (
            ("toy", "new.csv", "x.csv", "--engine", "dask"),
            2,
            "set `dask_scheduler` in [tool.nbprod], or NBPROD_DASK_SCHEDULER",
        ),
        (("runs/", "new.csv", "x.csv"), 2, "no bundle and no registered one"),
    ],
)
def test_mistakes_are_told_in_one_sentence(project: Project, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = project.nbprod("score", *arguments, code=code)
    assert says in done.stderr and done.stderr.count("\n") == 1
    assert not (project.root / "x.csv").exists()


def test_a_registered_folder_is_scored_with_without_the_registry(project: Project) -> None:
    folder = project.registered("toy", "1")
    project.nbprod("score", str(folder), "new.csv", "folder.parquet", "--predictions", "elsewhere")
    assert pq.read_table(project.root / "folder.parquet").num_rows == 50
    assert read_table(project.root / "elsewhere/toy").num_rows == 50


def test_a_run_that_is_killed_leaves_no_output_and_no_half_log(project: Project) -> None:
    dice = np.random.default_rng(0)
    table = pa.table({name: dice.normal(size=500_000) for name in "ab"})
    with pq.ParquetWriter(project.root / "large.parquet", table.schema) as writer:
        for _ in range(12):
            writer.write_table(table)
    log = project.root / "killed-log"
    arguments = ("score", "toy", "large.parquet", "large-out.parquet", "--predictions", str(log))
    with project.started(*arguments) as process:
        wait_for("a file of the log", lambda: list(log.rglob("*.parquet")) or process.poll() is not None)
        assert process.poll() is None
        process.kill()
    assert not (project.root / "large-out.parquet").exists()
    assert list(log.rglob("*.parquet")) and read_table(log / "toy").num_rows == 0
    project.nbprod("score", "toy", "new.csv", "after.csv", "--predictions", str(log))
    assert read_table(log / "toy").num_rows == 50
    assert len(list(log.rglob("*.parquet"))) == 1 and not list(log.rglob("*.new"))


def test_a_cluster_gives_what_one_machine_gives(project: Project, scheduler: str) -> None:
    rows = {name: np.arange(40_000) % 97 / 97 for name in "ab"}
    (project.root / "many").mkdir()
    pq.write_table(pa.table(rows), project.root / "many/large.parquet", row_group_size=9_000)
    (project.root / "bad.csv").rename(project.root / "many/bad.csv")
    project.environment["NBPROD_DASK_SCHEDULER"] = scheduler
    for engine in ("local", "dask"):
        options = ("--engine", engine, "--on-error", "quarantine", "--proba")
        found = project.document("score", "toy", "many", f"{engine}.parquet", *options, code=6)
        assert (found["engine"], found["rows"], found["rejected"]) == (engine, 40_048, 2)
    one, other = (pq.read_table(project.root / f"{engine}.parquet") for engine in ("local", "dask"))
    assert one.drop_columns(["request"]).equals(other.drop_columns(["request"]))
    rejected = [pq.read_table(project.root / f"{engine}.rejected.parquet") for engine in ("local", "dask")]
    assert rejected[0].equals(rejected[1])
    logged = read_table(project.root / ".nbprod/predictions/toy", columns=["request"])
    assert set(other["request"].to_pylist()) <= set(logged["request"].to_pylist())


def test_a_cluster_that_is_not_there_is_told(project: Project) -> None:
    project.environment["NBPROD_DASK_SCHEDULER"] = "tcp://127.0.0.1:9"
    done = project.nbprod("score", "toy", "new.csv", "nowhere.csv", "--engine", "dask", code=3)
    assert "the Dask scheduler at tcp://127.0.0.1:9 does not answer" in done.stderr.splitlines()[-1]
    assert not (project.root / "nowhere.csv").exists()
