"""A real service: processes, sockets, signals, and the prediction log after all of them."""

from __future__ import annotations

import json
import signal
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, is_alive, wait_for
from tests.functional.serving import BODY, Asking, Load, Running, serving, train_toy


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with two versions of one model."""
    made = make_project("serving")
    train_toy(made)
    return made


@pytest.fixture(scope="module")
def service(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service that most tests ask."""
    log = tmp_path_factory.mktemp("log")
    options = ["--request-timeout", "1", "--max-body", "100000", "--max-header", "4000"]
    with serving(project, log, *options) as found:
        yield found


def test_the_service_answers_and_its_process_knows_no_mlflow(service: Running) -> None:
    status, answer = service.post()
    assert status == 200
    assert answer["predictions"] == [1]
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "sklearn" in maps
    loaded = [line for line in service.said if '"loaded"' in line]
    assert json.loads(loaded[0])["path"] == "arrays, micro-batches"


def test_the_client_of_mlflow_works_unchanged(service: Running) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

        client: Any = ScoringServerClient("127.0.0.1", service.port)  # type: ignore[no-untyped-call]
        client.wait_server_ready(timeout=10)
        found = client.invoke(pd.DataFrame({"b": [0.1, 0.1], "a": [0.9, 0.1]})).get_predictions()
    assert found[0].tolist() == [1, 0]


def test_mlflow_is_not_imported_for_a_skops_model(project: Project, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom nbprod.lifecycle.serve import Wish, _plan\n"
        "from nbprod.serving.loading import load\n"
        f"plan = _plan(Wish(ref='toy/1', predictions=Path({str(tmp_path)!r})), Path({str(tmp_path)!r}))\n"
        "served = load(plan.answer, plan.limits)\nimport nbprod.serving.app, nbprod.serving.pages\n"
        "print(served.proof.path, 'mlflow' in sys.modules)"
    )
    done = project.call(PROGRAM[0], "-P", "-c", code)
    assert done.stdout.strip() == "arrays, micro-batches False"


def test_a_body_over_the_limit_gets_an_answer_that_can_be_read(service: Running) -> None:
    assert service.post(b" " * 3_000_000)[0] == 413
    chunked = b"".join(b"2710\r\n" + b" " * 10_000 + b"\r\n" for _ in range(100)) + b"0\r\n\r\n"
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    assert service.send(head + chunked).startswith(b"HTTP/1.1 413")
    assert service.post()[0] == 200


def test_headers_over_the_limit_get_431(service: Running) -> None:
    for name in (b"x: ", b"cookie: "):
        found = service.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n" + name + b"a" * 300_000 + b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 431"), found[:100]
    assert service.post()[0] == 200


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /predict HTT",
        b"POST /predict HTTP/1.1\r\nhost: x\r\n",
        b'POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"rec',
    ],
)
def test_a_request_that_does_not_arrive_is_ended(service: Running, begun: bytes) -> None:
    found = service.send(begun)
    assert found.startswith(b"HTTP/1.1 408"), found
    assert service.post()[0] == 200


def test_what_is_no_http_is_refused(service: Running) -> None:
    assert service.send(b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert service.post()[0] == 200


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_that_was_answered_is_missing_after_the_end(
    project: Project, tmp_path: Path, workers: str, number: signal.Signals
) -> None:
    with serving(project, tmp_path, "--workers", workers) as service:
        own = psutil.Process(service.process.pid)
        family = [own.pid, *(child.pid for child in own.children())]
        assert len(family) == (1 if workers == "1" else 3)
        load = Load(service)
        wait_for("enough answers", lambda: len(load.answered) > 300)
        victims = family[1:] if number == signal.SIGKILL and len(family) > 1 else family[:1]
        for process in victims:
            psutil.Process(process).send_signal(number)
        if number == signal.SIGTERM:
            assert service.process.wait(timeout=60) == 0
        elif len(family) > 1:  # killed workers are started again
            before = len(load.answered)
            wait_for("answers of the new workers", lambda: len(load.answered) > before + 50)
            assert service.stop() == 0
        else:
            service.process.wait(timeout=60)
        load.stop()
        wait_for("the end of all processes", lambda: not any(map(is_alive, family)))
        logged = {row["request"] for row in service.logged()}
        assert load.answered <= logged
        assert len(load.answered) > 300
    with serving(project, tmp_path) as service:
        assert service.post()[0] == 200
        assert load.answered <= {row["request"] for row in service.logged()}


def test_counters_are_those_of_all_workers_which_end_with_their_parent(project: Project, tmp_path: Path) -> None:
    with serving(project, tmp_path, "--workers", "2") as service:
        for _ in range(40):
            service.post()

        def total() -> float:
            with urllib.request.urlopen(service.url + "/metrics") as found:
                text = found.read().decode()
            return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("nbprod_rows_total{"))

        wait_for("the counters of both workers", lambda: total() == 40)
        children = [process.pid for process in psutil.Process(service.process.pid).children()]
        service.process.kill()
        wait_for("the end of the workers", lambda: not any(map(is_alive, children)))


def test_another_address_than_this_machine_needs_keys(project: Project, tmp_path: Path) -> None:
    refused = project.nbprod("serve", "toy/1", "--host", "0.0.0.0", "--port", "0", code=2)
    assert "callers need keys" in refused.stderr
    file = str(tmp_path / "keys.txt")
    key = project.nbprod("serve", "toy/1", "--api-key-file", file, "--add-key", "ana").stdout.strip()
    assert key not in Path(file).read_text()
    with serving(project, tmp_path, "--api-key-file", file) as service:
        assert service.post()[0] == 401
        assert service.post(authorization=f"Bearer {key}")[0] == 200
        Path(file).write_text("# nbprod api keys 1\n")
        wait_for("the key to be forgotten", lambda: service.post(authorization=f"Bearer {key}")[0] == 401)


def test_a_version_that_is_not_what_was_signed_is_not_served(project: Project) -> None:
    path = project.registered("toy", "2") / "model.skops"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        done = project.nbprod("serve", "toy/2", "--port", "0", code=4)
    finally:
        path.write_bytes(content)
    assert "model.skops was changed" in done.stderr


def test_a_shadow_and_a_canary_are_recorded_by_version(project: Project, tmp_path: Path) -> None:
    with serving(project, tmp_path, "--shadow", "toy/2") as service:
        assert {service.post()[1]["version"] for _ in range(5)} == {"1"}
        wait_for("the shadow", lambda: sum(row["role"] == "shadow" for row in service.logged()) == 5)
    with serving(project, tmp_path, "--canary", "toy/2=50%") as service:
        versions = [
            service.post(BODY, "/predict", **{"nbprod-sticky": str(number)})[1]["version"] for number in range(40)
        ]
        assert 5 < versions.count("2") < 35
    both = project.nbprod("serve", "toy/1", "--canary", "toy/2=150%", "--port", "0", code=2)
    assert "between 0% and 100%" in both.stderr


@pytest.mark.slow
def test_a_promotion_is_followed_under_load_and_a_move_by_hand_is_not(project: Project, tmp_path: Path) -> None:
    project.document("promote", "toy/1", "--override", "gates", "--reason", "the first")
    with serving(project, tmp_path, "--workers", "2", ref="toy@champion") as service:
        load = Load(service, Asking(), Asking())
        wait_for("answers", lambda: len(load.answered) > 100)
        project.document("promote", "toy/2", "--override", "gates", "--reason", "better")

        def versions() -> set[str]:
            return {service.post()[1]["version"] for _ in range(20)}

        wait_for("the second version from both workers", lambda: versions() == {"2"})
        project.document("rollback", "toy", "--reason", "worse")
        wait_for("the first version again", lambda: versions() == {"1"})
        project.registry().set_registered_model_alias("toy", "champion", "2")
        wait_for("word of it", lambda: any("moved it without nbprod" in line for line in list(service.said)))
        assert versions() == {"1"}
        project.registry().set_registered_model_alias("toy", "champion", "1")
        load.stop()
        assert not load.failed
        assert load.answered <= {row["request"] for row in service.logged()}
        assert {row["version"] for row in service.logged()} == {"1", "2"}


def test_a_challenger_shadows_from_when_it_is_named_until_it_is_the_champion(project: Project, tmp_path: Path) -> None:
    known = {row["version"]: row["aliases"] for row in project.document("models")}
    if "champion" not in known["1"]:
        project.document("promote", "toy/1", "--override", "gates", "--reason", "again")
    with serving(project, tmp_path, "--shadow", "toy@challenger", ref="toy@champion") as service:

        def shadowed() -> list[str]:
            service.post()
            return [row["request"] for row in service.logged() if (row["role"], row["version"]) == ("shadow", "2")]

        assert shadowed() == []
        project.document("promote", "toy/2", "--to", "challenger", "--reason", "better?")
        wait_for("answers of the shadow", lambda: len(shadowed()) > 2)
        seen = shadowed()
        assert set(seen) <= {row["request"] for row in service.logged() if row["role"] == "answer"}
        project.document("promote", "toy/2", "--override", "gates", "--reason", "better")
        wait_for("the end of the shadow", lambda: any("another version answers" in line for line in list(service.said)))
        wait_for("the second version", lambda: service.post()[1]["version"] == "2")
        before = len(shadowed())
        service.post()
        assert len(shadowed()) == before


def test_the_registered_folder_is_served_without_a_registry(project: Project, tmp_path: Path) -> None:
    folder = str(project.registered("toy", "1"))
    with serving(project, tmp_path, ref=folder) as service:
        assert service.post()[1]["predictions"] == [1]
        assert service.stop() == 0
