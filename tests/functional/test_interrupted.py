"""Runs that are stopped, killed, or go on side by side: nothing is lost, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, actions, is_alive, parameters, printed, stages, wait_for

PIPELINE = """
name: two
stages:
  first: {notebook: notebooks/first.ipynb, inputs: {raw: data/raw.csv}, outputs: {made: made.txt}}
  second: {notebook: notebooks/second.ipynb, inputs: {source: first.made}, outputs: {made: made.txt}}
"""

FIRST = """
import os
from pathlib import Path

Path(made).write_text(Path(raw).read_text())
with open(Path(raw).parent / "log.txt", "a") as log:
    log.write("first\\n")
"""

SECOND = """
import os, time
from pathlib import Path

folder = Path(os.environ["NBPROD_PROJECT"])
half = open(made, "w")
half.write("half")
half.flush()
with open(folder / "data" / "log.txt", "a") as log:
    log.write("second\\n")
(folder / "kernel.pid.part").write_text(str(os.getpid()))
(folder / "kernel.pid.part").rename(folder / "kernel.pid")
while (folder / "wait").exists():
    time.sleep(0.1)
half.write(" and whole")
half.close()
"""


@pytest.fixture
def project(make_project: Make) -> Project:
    project = make_project("interrupted")
    project.write("pipelines/two.yaml", PIPELINE)
    project.write("data/raw.csv", "a\n1\n")
    project.notebook("notebooks/first.ipynb", parameters('raw = "x"  # input\nmade = "x"  # output'), FIRST)
    project.notebook(
        "notebooks/second.ipynb", parameters('source = "x"  # input\nmade = "x"  # output'), SECOND, "print('end')"
    )
    return project


def log(project: Project) -> list[str]:
    """What ran, in order."""
    return (project.root / "data" / "log.txt").read_text().split()


@contextmanager
def waiting_in_the_second_stage(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run whose second stage waits in a cell: nbprod's process, and the kernel's id."""
    project.write("wait", "")
    with project.started("run") as process:
        pid = project.root / "kernel.pid"
        wait_for("the second stage to begin", lambda: pid.exists() or process.poll() is not None, seconds=120)
        assert process.poll() is None
        yield process, int(pid.read_text())


def check_first_is_kept(project: Project, interrupted: str) -> None:
    """After the end of the run nothing half-done counts, and the next run goes on from the first stage."""
    (project.root / "wait").unlink()
    (run,) = project.document("runs")
    assert (run["id"], run["status"]) == (interrupted, "interrupted")
    assert "interrupted" in project.nbprod("runs").stdout
    latest = project.root / "runs" / "latest"
    assert {path.name for path in latest.iterdir()} == {"first", "first.ipynb"}
    assert b"half" not in project.files(".nbprod/store").values()
    report = project.document("run")
    assert stages(report) == {"first": ("reuse", "succeeded"), "second": ("run", "succeeded")}
    assert (latest / "second" / "made.txt").read_text() == "half and whole"
    assert log(project) == ["first", "second", "second"]
    assert [run["status"] for run in project.document("runs")] == ["succeeded", "interrupted"]


def only_run(project: Project) -> str:
    """The name of the only run's folder."""
    (name,) = [path.name for path in (project.root / "runs").iterdir() if path.name not in ("latest", ".gitignore")]
    return name


def test_ctrl_c_stops_the_kernel_and_records_the_run_as_interrupted(project: Project) -> None:
    with waiting_in_the_second_stage(project) as (process, kernel):
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted" in stderr
        assert "Traceback" not in stderr
    wait_for("the kernel to be gone", lambda: not is_alive(kernel), seconds=10)
    name = only_run(project)
    record = project.read(f"runs/{name}/run.json")
    assert record["status"] == "interrupted"
    assert {stage["stage"]: stage["status"] for stage in record["stages"]} == {
        "first": "succeeded",
        "second": "interrupted",
    }
    assert project.read(f"runs/{name}/second.ipynb")["cells"]
    check_first_is_kept(project, name)


def test_after_a_kill_no_kernel_stays_and_no_finished_stage_is_lost(project: Project) -> None:
    with waiting_in_the_second_stage(project) as (process, kernel):
        process.kill()
        process.wait(timeout=30)
    wait_for("the kernel to be gone", lambda: not is_alive(kernel), seconds=15)
    name = only_run(project)
    project.read(f"runs/{name}/run.json")
    project.read(f"runs/{name}/second.ipynb")
    check_first_is_kept(project, name)


def test_two_runs_at_once_run_each_stage_once(project: Project) -> None:
    with project.started("run", "--json") as one, project.started("run", "--json") as two:
        ended = [process.communicate(timeout=240) for process in (one, two)]
        assert [process.returncode for process in (one, two)] == [0, 0], ended
    assert sorted(log(project)) == ["first", "second"]
    assert {run["status"] for run in project.document("runs")} == {"succeeded"}
    assert set(actions(project.document("plan")).values()) == {"reuse"}


PARALLEL = """
name: parallel
stages:
  left: {notebook: notebooks/says.ipynb, params: {other: right}, env: [DB_DSN]}
  right: {notebook: notebooks/says.ipynb, params: {other: left}}
"""

SAYS = """
import os, time
from pathlib import Path

folder = Path(os.environ["NBPROD_PROJECT"])
(folder / os.environ["NBPROD_STAGE"]).touch()
end = time.monotonic() + 60
while not (folder / other).exists():
    assert time.monotonic() < end, "the other stage does not run beside this one"
    time.sleep(0.05)
print(len(os.environ["DB_DSN"]), os.environ["NBPROD_STAGE"], Path(os.environ["NBPROD_STAGE_DIR"]).name, Path.cwd().name)
"""

WATCHED = """
import os, sys, threading, time
from nbprod.cli import main

seen, folders, over = set(), set(), threading.Event()

def watch():
    while not over.is_set():
        seen.update(os.environ)
        folders.add(os.getcwd())
        time.sleep(0.002)

before = set(os.environ)
threading.Thread(target=watch, daemon=True).start()
try:
    main()
except SystemExit as end:
    over.set()
    print(sorted(name for name in seen - before if "NBPROD" in name or "MLFLOW" in name), len(folders), end.code)
"""


def test_parallel_stages_see_their_own_environment_and_nbprod_itself_none_of_it(make_project: Make) -> None:
    project = make_project("parallel")
    project.write("pipelines/parallel.yaml", PARALLEL)
    project.notebook("notebooks/says.ipynb", parameters('other = ""'), SAYS)
    program = [*PROGRAM[:-1], WATCHED]
    secret = "postgres://me:open-sesame@example.org"
    done = project.call(*program, "run", "--jobs", "2", DB_DSN=secret)
    assert done.stdout.splitlines()[-1] == "[] 1 0"
    for stage in ("left", "right"):
        executed = project.read(f"runs/latest/{stage}.ipynb")
        assert printed(executed) == f"{len(secret)} {stage} {stage} notebooks\n"
    assert not [name for name, content in project.files(".").items() if b"open-sesame" in content]
