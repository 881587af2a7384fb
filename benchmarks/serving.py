"""``python -m benchmarks.serving``: requests a second of `nbprod serve` beside other servers, in one run.

All servers hold the same logistic regression of 30 numbers, with one worker and one OpenMP thread; nbprod with its
validation and its log of predictions, and once more without the log, whose cost that shows. They stay up together;
every load is put on each in turn, in several rounds, so that a slow minute of the machine hits them all, and the median
of the rounds counts. The load generator is `benchmarks.load`, whose share of a CPU is told. Never part of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = [f"f{number:02d}" for number in range(30)]
LOADS = ((1, 1), (1, 16), (1, 64), (100, 8), (10_000, 2))
"""Rows of a request, and clients."""

BARS = {(1, 1): 10.0, (1, 16): 60.0, (1, 64): 100.0, (100, 8): 20.0}
"""How many times as many requests a second as `mlflow models serve`."""

UNLOGGED = "from nbprod.predictions.journal import Journal; Journal.write = lambda *ignored: None"
"""What takes the log away; nbprod itself has no such option."""

NOTEBOOK = """
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import nbprod

dice = np.random.default_rng(0)
rows = pd.DataFrame(dice.normal(size=(2000, 30)), columns=[f"f{n:02d}" for n in range(30)])
model = LogisticRegression().fit(rows, (rows.sum(axis=1) + dice.normal(size=2000) > 0).astype(int))
nbprod.log_model(model, example=rows.head())
"""


@dataclass(kw_only=True)
class Server:
    """A server that is measured.

    Attributes:
        first: seconds from its start to its first answer.
        memory: MiB of it and all its children, after the first answer.
        rates, slow: load -> requests a second, and the p99 in milliseconds, of each round.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    path: str
    form: Callable[[Sequence[Sequence[float]]], Any]
    first: float = 0.0
    memory: float = 0.0
    rates: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    slow: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print the table."""
    options = _options()
    work = Path(tempfile.mkdtemp(prefix="nbprod-serving-"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where mlflow finds uvicorn
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": path, "NBPROD_KEYS": str(work / "keys"), "XDG_CACHE_HOME": str(work / "cache"),
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    try:
        with ExitStack() as stack:
            folder = make_model(work, environment)
            servers = [stack.enter_context(start) for start in _starts(options.others, work, folder, environment)]
            requests = {server.name: _requests(server, work) for server in servers}
            for number in range(options.rounds):
                for load in LOADS:
                    for server in servers if number % 2 == 0 else reversed(servers):
                        _measure(server, load, requests[server.name][load[0]], options.seconds)
            print(table(servers))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--with", dest="others", choices=["mlserver"], nargs="*", default=[])
    return parser.parse_args()


def make_model(work: Path, environment: Mapping[str, str]) -> Path:
    """The registered folder of the model in a new project."""
    cells = [("parameters", "seed: int = 0"), ("", NOTEBOOK)]
    notebook = {
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "cells": [
            {"cell_type": "code", "id": f"c{n}", "source": source, "metadata": {"tags": [tag] if tag else []},
             "outputs": [], "execution_count": None}
            for n, (tag, source) in enumerate(cells)
        ],
    }  # fmt: skip
    (work / "wide.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (work / ".nbprod").mkdir()
    done = subprocess.run(
        [*program(), "run", "wide.ipynb"], cwd=work, env=dict(environment), capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise BenchmarkError(f"the model could not be made:\n{done.stderr}")
    return next((work / ".nbprod" / "artifacts").rglob("MLmodel")).parent


def program(before: str = "pass") -> list[str]:
    """`nbprod` as a process of its own; the code before it may change what it measures."""
    return [sys.executable, "-P", "-c", f"{before}; from nbprod.cli import main; main()"]


def _starts(others: Sequence[str], work: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[Any]:
    port = _port()
    command = [*program(), "serve", "wide/1", "--port", str(port), "--predictions", str(work / "log")]
    yield _started("nbprod", command, port, work, environment, path="/predict", form=_rows)
    port = _port()
    command = [*program(UNLOGGED), "serve", "wide/1", "--port", str(port), "--predictions", str(work / "none")]
    yield _started("nbprod without its log", command, port, work, environment, path="/predict", form=_rows)
    port = _port()
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", str(port), "-w", "1",
        "--env-manager", "local",
    ]  # fmt: skip
    yield _started("mlflow", command, port, work, environment, path="/invocations", form=_split)
    if "mlserver" in others:
        yield _mlserver(work, folder, environment)


@contextmanager
def _mlserver(work: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """MLServer in an environment of its own, with scikit-learn's runtime and the same model as joblib."""
    place = ROOT / ".nbprod" / "benchmarks" / "mlserver"
    if not (place / "bin" / "mlserver").exists():
        packages = ["mlserver", "mlserver-sklearn", "scikit-learn", "pandas", "joblib"]
        for command in (["venv", "-q", "--clear", "--python", sys.executable, str(place)],
                        ["pip", "install", "-q", "--python", str(place / "bin" / "python"), *packages]):  # fmt: skip
            done = subprocess.run([shutil.which("uv") or "uv", *command], capture_output=True, text=True, timeout=900)
            if done.returncode:
                raise BenchmarkError(f"mlserver could not be installed:\n{done.stderr}")
    port, metrics, grpc, home = _port(), _port(), _port(), work / "mlserver"
    home.mkdir()
    code = NOTEBOOK.replace("import nbprod\n", "import joblib\n").replace(
        "nbprod.log_model(model, example=rows.head())", "joblib.dump(model, 'model.joblib')"
    )
    subprocess.run([str(place / "bin" / "python"), "-c", code], cwd=home, check=True, env=dict(environment))
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0,
        "debug": False,
    }  # fmt: skip
    model = {
        "name": "wide", "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "1"},
    }  # fmt: skip
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    command = [str(place / "bin" / "mlserver"), "start", str(home)]
    path = "/v2/models/wide/infer"
    with _started("MLServer", command, port, home, environment, path=path, form=_tensor) as server:
        yield server


@contextmanager
def _started(
    name: str,
    command: Sequence[str],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    *,
    path: str,
    form: Callable[[Sequence[Sequence[float]]], Any],
) -> Iterator[Server]:
    begun = time.perf_counter()
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=log, stderr=log, start_new_session=True
        )
    server = Server(name=name, port=port, process=process, path=path, form=form)
    try:
        while not _answers(server):
            if process.poll() is not None or time.perf_counter() - begun > 180:
                raise BenchmarkError(f"{name} does not answer:\n{(folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.02)
        server.first = time.perf_counter() - begun
        server.memory = _memory(process.pid)
        yield server
    finally:
        for number in (
            signal.SIGTERM,
            signal.SIGKILL,
        ):  # to the group that was made for it: mlflow leaves a child behind
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(timeout=30)


def _answers(server: Server) -> bool:
    body = json.dumps(server.form([[0.1] * 30])).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{server.path}", body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return bool(found.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _memory(process: int) -> float:
    import psutil  # type: ignore[import-untyped]

    own = psutil.Process(process)
    return float(sum(item.memory_info().rss for item in [own, *own.children(recursive=True)])) / 2**20


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _rows(rows: Sequence[Sequence[float]]) -> Any:
    return {"columns": COLUMNS, "rows": rows}


def _split(rows: Sequence[Sequence[float]]) -> Any:
    return {"dataframe_split": {"columns": COLUMNS, "data": rows}}


def _tensor(rows: Sequence[Sequence[float]]) -> Any:
    flat = [value for row in rows for value in row]
    return {"inputs": [{"name": "x", "shape": [len(rows), 30], "datatype": "FP64", "data": flat}]}


def _requests(server: Server, work: Path) -> dict[int, Path]:
    """Files with whole requests, by their number of rows."""
    import numpy as np

    found = {}
    for count in sorted({rows for rows, _ in LOADS}):
        rows = np.random.default_rng(1).normal(size=(count, 30)).tolist()
        body = json.dumps(server.form(rows)).encode()
        head = (
            f"POST {server.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        found[count] = work / f"{server.name}-{count}.http"
        found[count].write_bytes(head.encode() + body)
    return found


def _measure(server: Server, load: tuple[int, int], request: Path, seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", str(server.port), str(load[1]), str(seconds), str(request)],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    if found["errors"]:
        raise BenchmarkError(f"{server.name} failed {found['errors']:.0f} of {found['requests']:.0f} requests")
    server.rates.setdefault(load, []).append(found["rate"])
    server.slow.setdefault(load, []).append(found["p99"])
    server.shares.append(found["cpu"])
    print(f"... {server.name} {load}: {found['rate']:,.1f}/s, p99 {found['p99']:.1f} ms", file=sys.stderr)


def table(servers: Sequence[Server]) -> str:
    """The results, in Markdown, with the bars."""
    names = [f"{rows:,} row{'s' * (rows > 1)}, {clients}" for rows, clients in LOADS]
    lines = [
        f"| requests a second (p99, ms) | {' | '.join(names)} | first answer | MiB |",
        "|---" * (len(LOADS) + 3) + "|",
    ]
    for server in servers:
        cells = [f"{_median(server.rates[load]):,.1f} ({_median(server.slow[load]):,.1f})" for load in LOADS]
        lines.append(f"| {server.name} | {' | '.join(cells)} | {server.first:.1f} s | {server.memory:.0f} |")
    own = servers[0]
    for other in servers[1:]:
        ratios = [_median(_paired(own, other, load)) for load in LOADS]
        shown = [f"{ratio:.2f}x" if ratio < 2 else f"{ratio:.1f}x" for ratio in ratios]
        lines.append(f"| nbprod / {other.name} | {' | '.join(shown)} | | |")
    bars = [f"{BARS[load]:.0f}x" if load in BARS else "" for load in LOADS]
    lines.append(f"| bar, of mlflow | {' | '.join(bars)} | 3 s | 200 |")
    share = max(share for server in servers for share in server.shares)
    lines.append("")
    load = os.getloadavg()[0]
    lines.append(f"The load generator used at most {100 * share:.0f} % of a CPU; the machine's load was {load:.1f}.")
    return "\n".join(lines)


def _paired(one: Server, other: Server, load: tuple[int, int]) -> list[float]:
    """Ratios of the rates that were measured one after the other."""
    return [left / right for left, right in zip(one.rates[load], other.rates[load], strict=True)]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
