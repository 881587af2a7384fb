"""Hard ends: runs that are killed at any moment, Ctrl-C in a terminal, and two runs that register one model."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, is_alive, parameters, stages, wait_for

PIPELINE = """
name: chain
stages:
  one: {notebook: notebooks/one.ipynb, inputs: {raw: data/raw.csv}, outputs: {made: made.bin}}
  two: {notebook: notebooks/two.ipynb, inputs: {raw: one.made}, outputs: {made: made.bin}}
  train: {notebook: notebooks/train.ipynb, inputs: {raw: two.made}}
model: {name: chain, from: train.model}
"""

COPIES = """
from pathlib import Path
Path(made).write_bytes(Path(raw).read_bytes() * 2)
"""

TRAINS = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

X = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
nbprod.log_model(LinearRegression().fit(X, [1, 2, 3]), example=X)
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def project(make_project: Make) -> Project:
    project = make_project("chain")
    project.write("pipelines/chain.yaml", PIPELINE)
    project.write("data/raw.csv", "a\n" + "1\n" * 200_000)
    for name in ("one", "two"):
        project.notebook(f"notebooks/{name}.ipynb", parameters('raw = "x"  # input\nmade = "x"  # output'), COPIES)
    project.notebook("notebooks/train.ipynb", parameters('raw = "x"  # input'), TRAINS)
    return project


def check_whole(project: Project) -> None:
    """Everything behind a name that counts is whole."""
    for path in (project.root / "runs").glob("*/*.ipynb"):
        assert json.loads(path.read_text())["cells"]
    for path in (project.root / "runs").glob("*/run.json"):
        assert json.loads(path.read_text())["schema"] == "nbprod/run/1"
    for path in (project.root / "runs" / "latest").glob("*"):
        assert path.exists(), f"{path.name} points nowhere"
    for path in (project.root / ".nbprod" / "store").glob("??/*"):
        if not path.name.startswith("."):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
    for name in ("index.db", "mlflow.db"):
        if (project.root / ".nbprod" / name).exists():
            with sqlite3.connect(project.root / ".nbprod" / name) as database:
                assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
            database.close()


def children(process_id: int) -> list[int]:
    """All processes below a process."""
    import psutil  # type: ignore[import-untyped]

    return [child.pid for child in psutil.Process(process_id).children(recursive=True)]


def test_a_kill_at_any_moment_loses_no_finished_stage_and_leaves_nothing_half(project: Project) -> None:
    finished: set[str] = set()
    for delay in (0.3, 1.0, 2.0, 3.0, 4.5, 6.0):
        with project.started("run", "--json") as process:
            end = time.monotonic() + delay
            below: set[int] = set()
            while time.monotonic() < end and process.poll() is None:
                below.update(children(process.pid))
                time.sleep(0.05)
            below.update(children(process.pid) if process.poll() is None else [])
            process.kill()
            process.wait(timeout=30)
        wait_for("everything below it to be gone", lambda: not any(map(is_alive, below)), seconds=20)  # noqa: B023
        check_whole(project)
        planned = project.document("plan")
        reused = {stage["name"] for stage in planned["stages"] if stage["action"] == "reuse"}
        assert finished <= reused
        finished = reused
        for run in project.document("runs"):
            assert run["status"] in ("interrupted", "succeeded")
    report = project.document("run")
    assert {name for name, (action, _) in stages(report).items() if action == "reuse"} >= finished
    assert report["version"] == {"name": "chain", "version": "1"}
    check_whole(project)


def test_two_runs_at_once_register_one_version(project: Project) -> None:
    with project.started("run", "--json") as one, project.started("run", "--json") as two:
        said = [process.communicate(timeout=240) for process in (one, two)]
        assert [process.returncode for process in (one, two)] == [0, 0], said
    versions = [json.loads(stdout)["version"] for stdout, _ in said]
    assert versions == [{"name": "chain", "version": "1"}] * 2
    assert len(project.document("models")) == 1
    check_whole(project)


def test_sigterm_is_taken_as_ctrl_c(project: Project) -> None:
    with project.started("run") as process:
        wait_for("a kernel to start", lambda: list((project.root / "runs").glob("*/one.ipynb")))
        below = children(process.pid)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 130
    wait_for("everything below it to be gone", lambda: not any(map(is_alive, below)), seconds=20)
    assert [run["status"] for run in project.document("runs")] == ["interrupted"]


def test_a_terminal_shows_stage_cell_and_time_and_its_ctrl_c_stops_everything(project: Project) -> None:
    project.notebook("notebooks/two.ipynb", parameters('raw = "x"  # input\nmade = "x"  # output'),
                     "import time", "time.sleep(300)")  # fmt: skip
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*PROGRAM, "run"], cwd=project.root, env={**project.environment, "TERM": "xterm-256color"}, stdin=theirs,
        stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(theirs)
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                return
            if not part:
                return
            shown.append(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        wait_for("the third cell to be shown", lambda: b"cell 4 of 4" in b"".join(shown), seconds=120)
        below = children(process.pid)
        os.write(ours, b"\x03")
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.wait()
        reader.join(timeout=10)
        os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(shown).decode())
    assert re.search(r"one: succeeded in \d", text)
    assert re.search(r"two: cell 4 of 4, \d+\.\d s", text)
    assert "Traceback" not in text
    wait_for("everything below it to be gone", lambda: not any(map(is_alive, below)), seconds=20)
    assert [run["status"] for run in project.document("runs")] == ["interrupted"]
    assert not list(Path(project.root, "runs", "latest").glob("two*"))
