"""A bundle becomes a real image that is run and asked; `make test-image` runs this, and no other command does.

It takes minutes, root's rights and programs that are not Python's, so its name is not one that pytest collects.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbprod.packaging.image import DATA, USER
from nbprod.packaging.proof import answers, free_port
from nbprod.targets.container import KEY_FILE
from nbprod.trust.callers import add_key
from tests.functional.conftest import Make
from tests.functional.project import parameters, wait_for
from tests.image.tools import Container, Images, configure, running

TRAIN = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nbprod

rows = pd.read_csv(train)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[["a", "b"]], rows["y"])
nbprod.log_model(model, example=rows[["a", "b"]].head())
"""
ROWS = "a,b,y\n" + "".join(f"{i % 7},{i % 5},{int(i % 7 > 3)}\n" for i in range(60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A container that answers."""

    container: Container
    url: str
    process: dict[str, Any]
    entry: dict[str, Any]
    log: Path
    key: str

    def ask(self, body: Any, *, key: str | None = None) -> tuple[int, Any]:
        """Status and document of a prediction."""
        request = urllib.request.Request(f"{self.url}/predict", json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if key != "":
            request.add_header("Authorization", f"Bearer {key or self.key}")
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, None


@pytest.fixture(scope="module")
def served(make_project: Make, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The bundle of a version, built to an image, which runs."""
    place = tmp_path_factory.mktemp("image")
    project = make_project("image")
    project.write("train.csv", ROWS)
    project.notebook("line.ipynb", parameters('train = "train.csv"  # input'), TRAIN)
    project.document("run", "line.ipynb")
    images = Images(place)
    bundle = place / "bundle"
    built = project.document("build", "line/1", str(bundle), "--wheelhouse", "--base", images.make_base())
    assert built["proof"]["compared"]
    images.build(bundle, "localhost/line:1")
    unpacked = images.unpack("localhost/line:1")
    data, keys, port = place / "data", place / "api-keys", free_port()
    data.mkdir()
    key = add_key(keys, "image")
    keys.chmod(0o400)
    for path in (data, keys):
        os.chown(path, USER, USER)
    # the loopback interface is this machine's, so the service listens on no other
    process = configure(unpacked, {DATA: data, KEY_FILE: keys}, ["--host", "127.0.0.1", "--port", str(port)])
    entry = json.loads((bundle / "model" / "nbprod" / "nbprod.json").read_text(encoding="utf-8"))
    log = place / "service.log"
    with running(unpacked, log=log) as container:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"the service; see {log}", lambda: container.process.poll() is not None or answers(f"{url}/readyz"))
        assert container.process.poll() is None, log.read_text(encoding="utf-8")
        yield Served(container=container, url=url, process=process, entry=entry, log=log, key=key)


def test_the_image_answers_its_example_as_recorded_and_only_with_a_key(served: Served) -> None:
    model = served.entry["model"]
    body = {"columns": model["example"]["columns"], "rows": model["example"]["data"]}
    status, reply = served.ask(body)
    assert (status, reply["predictions"]) == (200, model["example_predictions"])
    assert (reply["model"], str(reply["version"])) == ("line", "1")
    assert served.ask(body, key="")[0] == 401
    assert served.ask(body, key="another")[0] in (401, 403)


def test_it_runs_as_nobody_and_can_neither_write_nor_install(served: Served) -> None:
    assert served.process["user"]["uid"] == USER
    assert served.container.execute("id", "-u").strip() == str(USER)
    served.container.execute("touch", "/bundle/new", code=1)
    served.container.execute("touch", "/opt/nbprod/new", code=1)
    served.container.execute("touch", f"{DATA}/new")
    served.container.execute("/opt/nbprod/bin/python", "-m", "pip", "--version", code=1)


def test_its_compiled_files_do_not_depend_on_when_it_was_built(served: Served) -> None:
    """The second word of a compiled file says how it is checked: 1 is by nothing, 0 would be by a time."""
    said = served.container.execute(
        "/opt/nbprod/bin/python",
        "-c",
        "import nbprod.errors as m, importlib.util as u; print(open(u.cache_from_source(m.__file__), 'rb').read(8)[4])",
    )
    assert said.strip() == "1"


def test_its_own_health_check_says_that_it_works(served: Served) -> None:
    probe = f"import urllib.request as r; r.build_opener(r.ProxyHandler({{}})).open('{served.url}/livez', timeout=5)"
    served.container.execute("/opt/nbprod/bin/python", "-c", probe)


def test_it_ends_well_when_it_is_asked_to(served: Served) -> None:
    """The last test of the file: nothing answers after it."""
    assert served.container.stop() == 0, served.log.read_text(encoding="utf-8")
