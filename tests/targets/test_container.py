"""The image is built and run with whatever engine there is, with no more rights than it needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nbprod.errors import DeployError
from nbprod.serving.keys import ApiKeys
from nbprod.targets.container import container, find_engine, stop
from tests.targets.made import calls, fake_program, placement


class Ready(BaseHTTPRequestHandler):
    """A service that is ready."""

    def do_GET(self) -> None:
        """Say so."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where something answers as the container would."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_is_built_and_runs_read_only_on_the_loopback_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    notes = fake_program(tmp_path, "podman", monkeypatch)
    made = container(placement(tmp_path, target="container", image="nbprod-churn:3"), port=port)
    build, remove, run = calls(notes)
    assert build[:3] == ["build", "--tag", "nbprod-churn:3"]
    assert remove == ["rm", "--force", "nbprod-churn"]
    assert {"--read-only", "ALL", "no-new-privileges", f"127.0.0.1:{port}:8080"} <= set(run)
    assert run[-1] == "nbprod-churn:3"
    assert (made.status, made.url) == ("ready", f"http://127.0.0.1:{port}")
    stopped = stop(made)
    assert calls(notes)[-1] == ["rm", "--force", "nbprod-churn"]
    assert stopped.status == "stopped"


def test_a_key_is_made_whose_hash_the_image_reads_and_which_only_its_owner_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    fake_program(tmp_path, "docker", monkeypatch)
    made = container(placement(tmp_path, target="container", image="nbprod-churn:3"), port=port)
    file, key = Path(str(made.details["api_key_file"])), Path(str(made.details["api_key"]))
    first = file.read_text()
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o755, 0o644)
    assert key.stat().st_mode & 0o777 == 0o600
    assert ApiKeys(file).name_of(key.read_text().strip()) == "deploy"
    assert key.read_text().strip() not in first
    container(placement(tmp_path, target="container", image="nbprod-churn:3"), port=port)
    assert file.read_text() == first


def test_an_image_that_is_pushed_is_not_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = fake_program(tmp_path, "docker", monkeypatch)
    made = container(placement(tmp_path, target="container", image="nbprod-churn:3"), push="registry.example/churn:3")
    assert [words[0] for words in calls(notes)] == ["build", "push"]
    assert (made.status, made.details["pushed"]) == ("written", "registry.example/churn:3")


def test_buildah_builds_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = fake_program(tmp_path, "buildah", monkeypatch)
    made = container(placement(tmp_path, target="container", image="nbprod-churn:3"))
    assert [words[0] for words in calls(notes)] == ["bud"]
    assert "does not run" in made.reason


def test_an_engine_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path, "podman", monkeypatch, code=125)
    with pytest.raises(DeployError, match=r"build the image nbprod-churn:3: podman says no such thing"):
        container(placement(tmp_path, target="container", image="nbprod-churn:3"))


def test_without_an_engine_the_other_target_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeployError, match="--target local"):
        find_engine()
    with pytest.raises(DeployError, match="there is no nerdctl"):
        find_engine("nerdctl")
