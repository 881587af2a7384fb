"""`nbprod build` and `nbprod deploy` on a real registry: one real bundle with its proof, which all tests share."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbprod.digest import sha256_file
from nbprod.packaging.lock import read_lock
from nbprod.packaging.proof import answers, free_port
from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, is_alive, parameters, wait_for
from tests.functional.serving import serving

pytestmark = pytest.mark.slow

TRAIN = """
import pandas as pd
from sklearn.linear_model import LinearRegression

import nbprod

rows = pd.read_csv(train)
model = LinearRegression(fit_intercept=intercept).fit(rows[["a"]], rows["y"])
nbprod.log_model(model, example=rows[["a"]].head())
"""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with one version."""
    made = make_project("build")
    made.write("train.csv", "a,y\n1,2\n2,4\n3,7\n")
    made.notebook("line.ipynb", parameters('train = "train.csv"  # input\nintercept = True'), TRAIN)
    made.document("run", "line.ipynb")
    return made


@pytest.fixture(scope="module")
def built(project: Project) -> Any:
    """What building its bundle printed; the bundle is in ``bundle/``."""
    return project.document("build", "line/1", "bundle", "--kubernetes")


def test_a_bundle_answers_the_recorded_example_in_an_environment_of_its_own(project: Project, built: Any) -> None:
    assert built["proof"]["rows"] == 3
    assert built["proof"]["compared"] is True
    listed = json.loads((project.root / "bundle" / "bundle.json").read_text())["files"]
    assert listed == {
        path.removeprefix("bundle/"): sha256_file(project.root / path)
        for path in project.files("bundle")
        if path != "bundle/bundle.json"
    }


def test_it_installs_what_serving_needs_at_the_recorded_versions(project: Project, built: Any) -> None:
    entry = json.loads((project.root / "bundle" / "model" / "nbprod" / "nbprod.json").read_text())
    recorded = dict(line.split("==") for line in entry["environment"]["freeze"])
    lock = {
        package.name: package.version for package in read_lock((project.root / "bundle/requirements.lock").read_text())
    }
    assert {name: lock[name] for name in ("scikit-learn", "numpy", "skops")} == {
        name: recorded[name] for name in ("scikit-learn", "numpy", "skops")
    }
    assert not {"mlflow", "mlflow-skinny", "papermill", "ipykernel", "sqlalchemy"} & set(lock)


def test_nothing_in_it_says_where_or_when_it_was_made(project: Project, built: Any) -> None:
    texts = {
        path: content
        for path, content in project.files("bundle").items()
        if not path.startswith(("bundle/model/", "bundle/statements/", "bundle/wheels/"))
    }
    assert not [
        path for path, content in texts.items() if str(project.root).encode() in content or b"index-url" in content
    ]


def test_its_model_is_the_registered_one_and_can_be_verified(project: Project, built: Any) -> None:
    registered = project.registered("line", "1")
    there = project.files("bundle/model")
    assert there == {
        f"bundle/model/{path.relative_to(registered).as_posix()}": path.read_bytes()
        for path in registered.rglob("*")
        if path.is_file()
    }
    assert project.document("verify", "bundle/model")["failed"] is False


def test_a_second_build_gives_the_same_bytes(project: Project, built: Any, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = project.document("build", "line/1", str(tmp_path / "elsewhere" / "b"), "--kubernetes")
    finally:
        os.umask(before)
    assert again["digest"] == built["digest"]
    first = {path.removeprefix("bundle/"): content for path, content in project.files("bundle").items()}
    for name, content in first.items():
        assert (tmp_path / "elsewhere" / "b" / name).read_bytes() == content, name


def test_a_folder_that_is_there_is_refused_and_what_fails_leaves_none(project: Project, built: Any) -> None:
    assert "is there already" in project.nbprod("build", "line/1", "bundle", code=2).stderr
    words = ("build", "line/1", "other", "--json")
    index = "file:///no/such/index"
    failed = project.call(*PROGRAM, *words, code=7, UV_DEFAULT_INDEX=index, UV_NO_CACHE="1").document
    assert "could not resolve what the service needs" in failed["error"]["message"]
    assert not [path.name for path in project.root.iterdir() if path.name.startswith(("other", ".new"))]


def test_a_version_whose_bytes_were_changed_is_not_built(project: Project, built: Any) -> None:
    file = project.registered("line", "1") / "model.skops"
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        failed = project.document("build", "line/1", "other", code=4)
    finally:
        file.write_bytes(content)
    assert "model.skops was changed" in failed["error"]["message"]
    assert not (project.root / "other").exists()


def test_a_version_of_a_stranger_is_not_built(project: Project, built: Any, tmp_path: Path) -> None:
    said = project.call(*PROGRAM, "build", "line/1", "other", code=2, NBPROD_KEYS=str(tmp_path / "keys")).stderr
    assert "which you did not pin: nbprod keys --pin" in said
    assert not (project.root / "other").exists()


def test_a_bundle_of_a_stranger_is_served_once_its_keys_are_named(project: Project, built: Any, tmp_path: Path) -> None:
    own = str(tmp_path / "keys")
    said = project.call(*PROGRAM, "serve", "bundle", "--port", "0", code=4, NBPROD_KEYS=own).stderr
    assert "line/1 is not loaded, because it is signed with the key" in said
    (advice,) = re.findall(
        r"which is not pinned: (NBPROD_KEYS=\S+), or nbprod keys --pin, if you know whose it is", said
    )
    name, _, folder = advice.partition("=")
    with serving(project, tmp_path, ref="bundle", body=b'{"records": [{"a": 2}]}', variables={name: folder}) as service:
        status, answer = service.post()
        assert (status, answer["model"], answer["version"]) == (200, "line", "1")
        assert service.stop() == 0


@pytest.fixture
def port(project: Project) -> Iterator[int]:
    """Where the deployment of a test listens; it is stopped at the end."""
    yield free_port()
    if (project.root / ".nbprod" / "deployments" / "line.local.json").exists():
        project.nbprod("deploy", "line", "--stop")


def test_a_service_is_supervised_and_the_version_before_comes_back(project: Project, built: Any, port: int) -> None:
    (placed,) = project.document("deploy", "bundle", "-o", "port", str(port))
    url = f"http://127.0.0.1:{port}"
    assert (placed["status"], placed["url"]) == ("ready", url)
    assert answers(f"{url}/readyz")
    os.kill(placed["processes"]["service"], signal.SIGKILL)
    wait_for("the service to be started again", lambda: deployed(project)["restarts"] == 1 and answers(f"{url}/readyz"))
    broken(project)
    failed = project.document("deploy", "broken", "-o", "port", str(port), code=7)
    assert "line/1 was not deployed: rolled back from line/1" in failed["error"]["message"]
    assert "line/1 answers again" in failed["error"]["message"]
    found = deployed(project)
    assert (found["status"], Path(found["bundle"]).name) == ("ready", "bundle")
    (stopped,) = project.document("deploy", "line", "--stop")
    assert stopped["status"] == "stopped"
    assert not [id for id in found["processes"].values() if is_alive(id)]
    assert not answers(f"{url}/livez")


def deployed(project: Project) -> Any:
    (found,) = project.document("deploy", "--status")
    return found


def broken(project: Project) -> None:
    """A bundle that is what its list says, and whose model cannot be loaded."""
    shutil.copytree(project.root / "bundle", project.root / "broken")
    file = project.root / "broken" / "model" / "model.skops"
    file.write_bytes(b"no model")
    manifest = project.root / "broken" / "bundle.json"
    content = json.loads(manifest.read_text())
    content["files"]["model/model.skops"] = sha256_file(file)
    manifest.write_text(json.dumps(content))


def test_a_supervisor_that_is_killed_is_told_and_leaves_nothing_behind_on_stop(
    project: Project, built: Any, port: int
) -> None:
    (placed,) = project.document("deploy", "bundle", "-o", "port", str(port))
    os.kill(placed["processes"]["supervisor"], signal.SIGKILL)
    found = deployed(project)
    assert found["status"] == "failed"
    assert "its supervisor is gone" in found["reason"]
    wait_for("the service to end with its supervisor", lambda: not is_alive(placed["processes"]["service"]))


def test_the_manifests_are_written_for_a_cluster(project: Project, built: Any) -> None:
    (placed,) = project.document("deploy", "bundle", "--target", "kubernetes", "-o", "image", "r.example/line:1")
    overlay = Path(placed["details"]["overlay"]) / "kustomization.yaml"
    assert "newName: r.example/line" in overlay.read_text()
    assert placed["status"] == "written"


def test_options_of_a_target_are_checked_before_anything_is_built(project: Project) -> None:
    said = project.nbprod("deploy", "line/1", "-o", "prot", "1", code=2).stderr
    assert "the target local has no option 'prot'. Did you mean 'port'?" in said
    assert "there is no 'cloud'" in project.nbprod("deploy", "line/1", "--target", "cloud", code=2).stderr
    assert "say what to deploy" in project.nbprod("deploy", code=2).stderr


def test_no_process_is_left(project: Project) -> None:
    """The last of the file."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(project.root) not in listed
