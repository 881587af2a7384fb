"""The registry in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbprod.entities import Statement
from nbprod.errors import AliasConflict, RegistryError
from nbprod.registry import Observed, head_of
from nbprod.registry.process import RegistryProcess
from tests.registry.made import GIT, TRAIN, a_run, model_folder, registration, train_stage


def started(folder: Path, uri: str | None = None) -> RegistryProcess:
    """A registry's process for a project in ``folder``."""
    return RegistryProcess(
        uri or f"sqlite:///{folder}/.nbprod/mlflow.db",
        folder / ".nbprod" / "artifacts",
        log=folder / ".nbprod" / "mlflow.log",
    )


@pytest.fixture(scope="module")
def registry(prepared_registry_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A process on a SQLite registry that several tests share: starting one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(prepared_registry_cache))
        with started(tmp_path_factory.mktemp("shared")) as process:
            yield process


def alive(process_id: int) -> bool:
    """Whether a process is there and not only waiting to be collected."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except OSError:
        done = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False)
        return bool(done.stdout.strip()) and not done.stdout.startswith("Z")
    return stat.rpartition(")")[2].split()[0] != "Z"


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something becomes true within half a minute."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_everything_that_the_registry_does_goes_through_the_pipe(registry: RegistryProcess, tmp_path: Path) -> None:
    registry.ready()
    experiment = registry.experiment("churn")
    tracking = registry.record(a_run(train_stage(tmp_path)), str(tmp_path), GIT, {TRAIN: {"role": "train", "rows": 3}})
    made = registry.register(registration(model_folder(tmp_path / "made"), tracking))
    said = Statement(schema="nbprod/registration/1", subject=made.digest)
    registry.attach("churn", "1", said)
    folder = Path(registry.download("churn", "1", str(tmp_path / "back")))

    assert experiment == registry.experiment("churn")
    assert registry.versions() == registry.versions("churn") == (made,)
    assert made.tracking == tracking
    assert (folder / "MLmodel").is_file()
    assert registry.observed("no run", "no stage", str(tmp_path / "stage")) == Observed()
    assert registry.statements("churn", "1") == (said,)
    registry.point("churn", "champion", "1")
    assert [version.aliases for version in registry.versions("churn")] == [("champion",)]
    registry.append("churn", 1, '{"one": "ü"}')
    assert registry.lines("churn") == ('{"one": "ü"}',)
    assert registry.head("churn") == head_of(1, '{"one": "ü"}')
    with pytest.raises(AliasConflict, match="nbprod history churn"):
        registry.append("churn", 1, "another")


def test_an_error_crosses_the_pipe_as_what_it_is(registry: RegistryProcess, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot fetch nobody/1"):
        registry.download("nobody", "1", str(tmp_path / "back"))
    assert registry.versions("nobody") == ()


def test_threads_may_share_it(registry: RegistryProcess) -> None:
    found: list[tuple[str, str]] = []

    def ask(name: str) -> None:
        for _ in range(5):
            found.append((name, registry.experiment(name)))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 15
    assert len(set(found)) == len({name for name, _ in found}) == 3


def test_closing_it_ends_the_child(registry_cache: Path, tmp_path: Path) -> None:
    with started(tmp_path) as process:
        process.ready()
        child = process.pid

    assert not alive(child)


def test_a_thread_that_is_waiting_does_not_hold_up_the_closing(registry_cache: Path, tmp_path: Path) -> None:
    process = started(tmp_path)
    outcome: list[object] = []

    def wait() -> None:
        try:
            outcome.append(process.experiment("churn"))
        except RegistryError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    process.close()
    thread.join(timeout=30)

    assert len(outcome) == 1


def test_the_child_does_not_outlive_a_parent_that_was_killed(registry_cache: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from nbprod.registry.process import RegistryProcess; "
        "folder = Path(sys.argv[1]); "
        "process = RegistryProcess(f'sqlite:///{folder}/m.db', folder / 'artifacts', log=folder / 'log'); "
        "process.ready(); print(process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()

    assert eventually(lambda: not alive(child))


def test_an_interrupt_from_the_terminal_is_left_to_the_parent(registry: RegistryProcess) -> None:
    registry.ready()

    os.kill(registry.pid, signal.SIGINT)

    assert registry.versions("nobody") == ()
    assert os.getsid(registry.pid) != os.getsid(0)


def test_a_child_that_died_is_said_with_its_last_words(registry_cache: Path, tmp_path: Path) -> None:
    with started(tmp_path) as process:
        with (tmp_path / ".nbprod" / "mlflow.log").open("a", encoding="utf-8") as log:
            log.write("out of memory\n")
        os.kill(process.pid, signal.SIGKILL)

        with pytest.raises(RegistryError, match=r"run again.*out of memory"):
            process.versions()


def test_what_a_library_prints_does_not_disturb_the_answers(
    registry_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    (noise / "sitecustomize.py").write_text(
        "import atexit, os, sys, threading, time\n"
        "def chatter():\n"
        "    while True:\n"
        "        print('noise', flush=True); os.write(1, b'{more noise}\\n'); time.sleep(0.01)\n"
        "if 'nbprod.registry.worker' in ' '.join(sys.orig_argv):\n"
        "    threading.Timer(1.0, chatter).start()\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(noise))

    with started(tmp_path) as process:
        process.ready()
        time.sleep(1.2)
        assert process.experiment("churn") == process.experiment("churn")

    assert "noise" in (tmp_path / ".nbprod" / "mlflow.log").read_text(encoding="utf-8")


def test_a_module_of_the_project_does_not_stand_in_for_one_that_mlflow_needs(
    registry_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.py").write_text("raise RuntimeError('the wrong module')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with started(tmp_path) as process:
        assert process.versions() == ()


def test_a_server_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = taken.getsockname()[1]
        with (
            started(tmp_path, f"http://me:secret@127.0.0.1:{port}") as process,
            pytest.raises(RegistryError) as refused,
        ):
            process.experiment("churn")

    said = refused.value.message
    assert said == (
        f"cannot open the experiment 'churn': the MLflow server at http://127.0.0.1:{port} does not answer; start it, "
        "or name another in MLFLOW_TRACKING_URI."
    )


def test_a_database_that_cannot_be_made_is_said_when_it_is_asked_for(registry_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with (
        started(tmp_path, f"sqlite:///{tmp_path}/file/mlflow.db") as process,
        pytest.raises(RegistryError, match="check the folder's permissions") as refused,
    ):
        process.ready()

    assert refused.value.file == f"{tmp_path}/file/mlflow.db"
