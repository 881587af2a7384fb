"""The bytes that a stage reads: files, folders, and what lies behind URLs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest

from nbprod.digest import sha256_bytes, sha256_path
from nbprod.entities import Artifact, StageRun
from nbprod.errors import ArtifactError, StageFailed
from tests.fakes import Lab


@pytest.fixture
def remote() -> Iterator[fsspec.AbstractFileSystem]:
    """Files behind ``memory://`` URLs."""
    files = fsspec.filesystem("memory")
    files.makedirs("/bucket")
    yield files
    files.rm("/bucket", recursive=True)


def reading(lab: Lab, text: str) -> Lab:
    """A stage whose input is ``text``."""
    lab.notebook("a", "read(x)", parameters="x = ''")
    return lab.pipeline(f"name: p\nstages: {{a: {{notebook: notebooks/a.ipynb, inputs: {{x: '{text}'}}}}}}")


def found(lab: Lab) -> Artifact:
    return lab.inputs.of(lab.bind()[0], {})["x"]


def test_a_file_is_measured_where_it_lies(lab: Lab) -> None:
    lab.file("data.csv", "data")
    artifact = found(reading(lab, "data.csv"))
    assert artifact == Artifact(name="x", uri="data.csv", sha256=sha256_bytes(b"data"), size=4, role="input")
    assert lab.inputs.path(artifact) == lab.root / "data.csv"


def test_a_folder_is_measured_as_a_whole(lab: Lab) -> None:
    lab.file("data/a.csv", "data")
    artifact = found(reading(lab, "data"))
    assert (artifact.kind, artifact.size, artifact.sha256) == ("folder", 4, sha256_path(lab.root / "data"))


def test_a_file_that_went_away_after_the_checks_is_an_error_that_names_it(lab: Lab) -> None:
    path = lab.file("data.csv", "data")
    (item,) = reading(lab, "data.csv").bind()
    path.unlink()
    with pytest.raises(ArtifactError) as caught:
        lab.inputs.of(item, {})
    assert str(caught.value) == "data.csv: input 'x' of stage 'a' cannot be read (No such file or directory)."


def test_a_file_behind_a_url_is_brought_here(lab: Lab, remote: fsspec.AbstractFileSystem) -> None:
    remote.pipe_file("/bucket/data.csv", b"data")
    artifact = found(reading(lab, "memory://bucket/data.csv"))
    assert artifact == Artifact(
        name="x", uri="memory://bucket/data.csv", sha256=sha256_bytes(b"data"), size=4, role="input"
    )
    assert (lab.inputs.path(artifact).name, lab.inputs.path(artifact).read_text()) == ("data.csv", "data")


def test_a_file_that_did_not_change_there_is_not_brought_again(lab: Lab, remote: fsspec.AbstractFileSystem) -> None:
    remote.pipe_file("/bucket/data.csv", b"data")
    reading(lab, "memory://bucket/data.csv")
    before = lab.inputs.path(found(lab)).stat().st_ino
    assert lab.inputs.path(found(lab)).stat().st_ino == before


def test_a_file_that_changed_there_is_brought_again(lab: Lab, remote: fsspec.AbstractFileSystem) -> None:
    remote.pipe_file("/bucket/data.csv", b"data")
    reading(lab, "memory://bucket/data.csv")
    found(lab)
    remote.pipe_file("/bucket/data.csv", b"other")
    assert found(lab).sha256 == sha256_bytes(b"other")


def test_a_file_that_is_lost_here_is_brought_again(lab: Lab, remote: fsspec.AbstractFileSystem) -> None:
    remote.pipe_file("/bucket/data.csv", b"data")
    reading(lab, "memory://bucket/data.csv")
    lab.inputs.path(found(lab)).unlink()
    assert found(lab).sha256 == sha256_bytes(b"data")


@dataclass
class Web:
    """A file behind a web server.

    Attributes:
        tag: its ETag; none is sent where it is empty.
        sent: how often its bytes were asked for.
    """

    body: bytes = b"data"
    tag: str = ""
    sent: int = 0
    url: str = ""


@pytest.fixture
def web() -> Iterator[Web]:
    """A file that a server on this machine sends."""
    page = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(page.body)))
            if page.tag:
                self.send_header("ETag", page.tag)
            self.end_headers()

        def do_GET(self) -> None:
            page.sent += 1
            self.do_HEAD()
            self.wfile.write(page.body)

        def log_message(self, *arguments: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        page.url = f"http://127.0.0.1:{server.server_port}/data.csv"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield page
        server.shutdown()
        thread.join()


def test_a_file_on_the_web_is_brought_again_only_when_its_tag_changes(lab: Lab, web: Web) -> None:
    web.tag = "one"
    reading(lab, web.url)
    assert [found(lab).sha256, found(lab).sha256] == [sha256_bytes(b"data")] * 2
    assert web.sent == 1
    web.tag, web.body = "two", b"daty"
    assert found(lab).sha256 == sha256_bytes(b"daty")
    assert web.sent == 2


def test_a_file_on_the_web_that_has_no_tag_or_date_is_always_brought(lab: Lab, web: Web) -> None:
    reading(lab, web.url)
    assert found(lab).sha256 == sha256_bytes(b"data")
    web.body = b"daty"
    assert found(lab).sha256 == sha256_bytes(b"daty")


def test_two_urls_that_end_alike_are_two_files(lab: Lab, remote: fsspec.AbstractFileSystem) -> None:
    for name in ("one", "two"):
        remote.pipe_file(f"/bucket/{name}/data.csv", name.encode())
    paths = [lab.inputs.fetch(f"memory://bucket/{name}/data.csv") for name in ("one", "two")]
    assert [path.read_text() for path in paths] == ["one", "two"]


@pytest.mark.usefixtures("remote")
def test_a_url_with_nothing_behind_it_is_an_error_that_names_it(lab: Lab) -> None:
    reading(lab, "memory://bucket/gone.csv")
    with pytest.raises(ArtifactError) as caught:
        found(lab)
    assert str(caught.value).startswith("memory://bucket/gone.csv: cannot be fetched: ")
    assert list((lab.project.data / "inputs").rglob("*.csv")) == []


def test_a_url_of_an_unknown_kind_is_an_error_that_names_it(lab: Lab) -> None:
    reading(lab, "nothing://data.csv")
    with pytest.raises(ArtifactError, match=r"nothing://data.csv: cannot be fetched: Protocol not known: nothing"):
        found(lab)


def test_what_another_stage_left_is_taken_as_it_was_measured(lab: Lab) -> None:
    lab.notebook("a", "write(out, 'x')", parameters="out = ''")
    lab.notebook("b", "read(x)", parameters="x = ''")
    lab.pipeline(
        "name: p\nstages:\n  a: {notebook: notebooks/a.ipynb, outputs: {out: a.txt}}\n"
        "  b: {notebook: notebooks/b.ipynb, inputs: {x: a.out}}\n"
    )
    left = Artifact(name="out", uri="runs/r1/a/a.txt", sha256="0" * 64, size=1)
    done = {"a": StageRun(stage="a", outputs={"out": left})}
    b = lab.bind()[1]
    assert lab.inputs.of(b, done) == {
        "x": Artifact(name="x", uri="runs/r1/a/a.txt", sha256="0" * 64, size=1, role="input")
    }
    with pytest.raises(StageFailed) as caught:
        lab.inputs.of(b, {"a": StageRun(stage="a", outputs={"outs": left})})
    assert str(caught.value) == "stage 'a' left no 'out', which stage 'b' reads as 'x'. Did you mean 'outs'?"
