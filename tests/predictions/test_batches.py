"""The log of a whole run counts at once, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbprod.predictions import batches
from nbprod.predictions.batches import BatchLog
from nbprod.predictions.erase import erase
from nbprod.predictions.orders import Order, give
from nbprod.predictions.reading import exists, find, read_table
from nbprod.predictions.roller import roll
from nbprod.predictions.segments import segments_in
from tests.predictions.made import NOON, written

INPUTS = pa.table({"age": [31, 70, 45], "input.row": ["a", "b", None]})


def write(log: BatchLog, *, time: float = NOON, inputs: pa.Table = INPUTS, prediction: Any = (1, 0, 1)) -> str:
    return log.write(pa.array(list(prediction)), inputs, time=time, latency=0.5)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_nothing_counts_before_all_of_it_does(tmp_path: Path) -> None:
    written(tmp_path, {})
    log = BatchLog(tmp_path, model="churn", version="7")
    request = write(log, time=time.time())
    log.finish()
    assert len(files(tmp_path)) == 1
    assert read_table(tmp_path).num_rows == 1  # what a service wrote
    log.commit()
    found = read_table(tmp_path, roles=["batch"])
    assert found["request"].to_pylist() == [request] * 3
    assert (found["row"].to_pylist(), found["rows"].to_pylist()) == ([0, 1, 2], [3, 3, 3])
    assert (found["version"].to_pylist(), found["key"].to_pylist()) == (["7"] * 3, ["score"] * 3)
    assert found["age"].to_pylist() == [31, 70, 45]
    assert exists(tmp_path, request) and find(tmp_path, request)[0].rows == 3
    assert (log.rows, log.first, log.last) == (3, request, request)


def test_an_abort_leaves_no_file(tmp_path: Path) -> None:
    log = BatchLog(tmp_path, model="churn", version="7")
    write(log)
    log.finish()
    write(log)
    log.abort()
    assert not files(tmp_path) and not segments_in(tmp_path) and not list(tmp_path.rglob("*.new"))


def test_the_roller_takes_away_what_a_killed_run_left(tmp_path: Path) -> None:
    code = f"""
import os, pyarrow as pa
from pathlib import Path
from nbprod.predictions.batches import BatchLog
log = BatchLog(Path({str(tmp_path)!r}), model="churn", version="7")
for _ in range(2):
    log.write(pa.array([1, 2]), pa.table({{"age": [1, 2]}}), time={NOON}, latency=0.5)
    log.finish()
log.write(pa.array([1, 2]), pa.table({{"age": [1, 2]}}), time={NOON}, latency=0.5)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(files(tmp_path)) == 2 and list(tmp_path.rglob("*.new"))
    assert read_table(tmp_path).num_rows == 0
    roll(tmp_path)
    assert not files(tmp_path) and not segments_in(tmp_path) and not list(tmp_path.rglob("*.new"))


def test_a_roller_leaves_a_run_alone(tmp_path: Path) -> None:
    log = BatchLog(tmp_path, model="churn", version="7")
    write(log)
    log.finish()
    assert roll(tmp_path).live == 1
    log.commit()
    assert read_table(tmp_path).num_rows == 3


def test_days_types_and_sizes_make_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ROWS", 7)
    log = BatchLog(tmp_path, model="churn", version="7")
    for _ in range(3):
        write(log)
    write(log, time=NOON + 86400)
    write(log, time=NOON + 86400, prediction=("a", "b", "c"))
    log.commit()
    days = [path.parent.name for path in files(tmp_path)]
    assert sorted(days) == ["day=2026-05-28"] * 2 + ["day=2026-05-29"] * 2
    assert read_table(tmp_path).num_rows == 15
    assert read_table(tmp_path, since=NOON + 86000).num_rows == 6


def test_whoever_is_erased_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    log = BatchLog(tmp_path, model="churn", version="7")
    write(log)
    (segment,) = segments_in(tmp_path)
    give(tmp_path, Order.of_value("age", 70, name="x", segments=(segment.name.removesuffix(".journal"),)))
    log.commit()
    assert read_table(tmp_path)["age"].to_pylist() == [31, 45]
    assert not list((tmp_path / ".erasures").glob("*.json"))
    assert erase(tmp_path, "age", 31).rows == 1


def test_the_parquet_may_be_elsewhere(tmp_path: Path) -> None:
    for url in (str(tmp_path / "elsewhere"), "memory://rolled/churn"):
        own = tmp_path / "own"
        log = BatchLog(own, url, model="churn", version="7")
        request = write(log)
        log.finish()
        assert read_table((own, url)).num_rows == 0
        log.commit()
        assert find((own, url), request)[0].rows == 3
        assert not files(own)
        aborted = BatchLog(own, url, model="churn", version="7")
        write(aborted)
        aborted.finish()
        aborted.abort()
        assert read_table((own, url)).num_rows == 3


def test_numbers_of_32_bits_are_logged_as_numbers(tmp_path: Path) -> None:
    log = BatchLog(tmp_path, model="churn", version="7")
    log.write(pa.array([0.5], pa.float32()), pa.table({}), time=NOON, latency=0.1)
    log.commit()
    assert read_table(tmp_path)["prediction"].type == pa.float64()
    metadata = pq.read_schema(files(tmp_path)[0]).metadata
    assert metadata[b"nbprod.schema"] == b"nbprod/prediction-rows/1"
    assert os.stat(files(tmp_path)[0]).st_size > 0
