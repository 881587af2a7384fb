"""What a service does not trust: strange keys, pickles, moves that nobody signed, versions that fail, torn logs."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nbprod.lifecycle.following import LOCAL
from nbprod.predictions.frames import MARK
from nbprod.predictions.segments import segments_in
from tests.functional.conftest import Make
from tests.functional.project import PROGRAM, Project, is_alive, parameters, wait_for
from tests.functional.serving import Asking, Load, serving, train_toy

pytestmark = pytest.mark.slow

PICKLED = """
import os

import mlflow
import pandas as pd

class Rule(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        if os.environ.get("RULE_FAILS") == str(threshold):
            raise RuntimeError("what the rule needs is away")

    def predict(self, context, model_input, params=None):
        return (model_input["a"] + model_input["b"] > threshold).astype(int)

mlflow.pyfunc.log_model(name="model", python_model=Rule(), input_example=pd.DataFrame({"a": [0.5], "b": [0.25]}))
"""


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """Two versions that skops saved, and two that MLflow saved with cloudpickle; toy/1 and rule/1 are champions."""
    made = make_project("guarded")
    train_toy(made)
    made.notebook("rule.ipynb", parameters("threshold: float = 1.0"), PICKLED)
    made.document("run", "rule.ipynb", "--name", "rule")
    made.document("run", "rule.ipynb", "--name", "rule", "-p", "threshold", "0.5")
    for name in ("toy", "rule"):
        made.document("promote", f"{name}/1", "--override", "gates", "--reason", "the first")
    return made


def test_a_pickled_version_is_served_because_a_pinned_key_signed_it(project: Project, tmp_path: Path) -> None:
    assert project.document("show", "rule/1")["model"]["serialization"] != "skops"
    with serving(project, tmp_path, ref="rule/1") as service:
        assert service.post()[1]["predictions"] == [0]
        assert service.post({"records": [{"a": 0.9, "b": 0.2}]})[1]["predictions"] == [1]


def test_a_pickled_version_of_a_stranger_is_refused_and_not_loaded(project: Project, tmp_path: Path) -> None:
    arguments = (*PROGRAM, "serve", "rule/1", "--port", "0")
    said = project.call(*arguments, code=4, NBPROD_KEYS=str(tmp_path / "keys")).stderr
    assert "rule/1 is not loaded, because it is signed with the key" in said
    assert "which is not pinned: nbprod keys --pin" in said


def test_a_pickled_version_without_a_signature_is_refused_and_a_skops_one_is_not(
    project: Project, tmp_path: Path
) -> None:
    for name in ("rule", "toy"):
        shutil.copytree(project.registered(name, "1"), tmp_path / name)
        (tmp_path / name / "nbprod" / "model.sig").unlink()
    said = project.nbprod("serve", str(tmp_path / "rule"), "--port", "0", code=7).stderr
    assert "is not signed, and loading it could run code" in said
    with serving(project, tmp_path / "log", ref=str(tmp_path / "toy")) as service:
        assert service.post()[1]["predictions"] == [1]


def test_a_promoted_version_that_fails_to_load_leaves_the_one_before_answering(
    project: Project, tmp_path: Path
) -> None:
    with serving(project, tmp_path, "--workers", "2", ref="rule@champion", variables={"RULE_FAILS": "0.5"}) as service:
        load = Load(service)
        try:
            project.document("promote", "rule/2", "--override", "gates", "--reason", "lower")
            told = "the alias is not followed, and the version before goes on answering"
            wait_for("word of it from both workers", lambda: sum(told in line for line in list(service.said)) == 2)
            (why,) = {json.loads(line)["error"] for line in service.said if told in line}
            assert why.startswith("rule/2 cannot be loaded (")
            assert "what the rule needs is away" in why
            assert service.post()[1]["version"] == "1"
            project.document("rollback", "rule", "--reason", "it does not load")
            ended = len(load.answered) + 20
            wait_for("more answers", lambda: len(load.answered) > ended)
        finally:
            load.stop()
        assert not load.failed
        assert load.versions == {"1"}
        assert service.stop() == 0


def test_an_alias_that_was_moved_by_hand_is_not_served_at_all(project: Project) -> None:
    project.registry().set_registered_model_alias("toy", "champion", "2")
    try:
        said = project.nbprod("serve", "toy@champion", "--port", "0", code=7).stderr
    finally:
        project.registry().set_registered_model_alias("toy", "champion", "1")
    assert "somebody moved it without nbprod" in said


def test_every_move_by_hand_is_told_once_and_never_followed(project: Project, tmp_path: Path) -> None:
    registry = project.registry()
    with serving(project, tmp_path, ref="toy@champion") as service:

        def told() -> int:
            return sum("moved it without nbprod" in line for line in list(service.said))

        for number in (1, 2):
            registry.set_registered_model_alias("toy", "champion", "2")
            try:
                wait_for("word of it", lambda number=number: told() == number)  # type: ignore[misc]
                assert service.post()[1]["version"] == "1"
            finally:
                registry.set_registered_model_alias("toy", "champion", "1")
            time.sleep(4 * LOCAL)  # until it is seen that it came back, of which nothing is told
        assert told() == 2


def test_a_half_written_end_of_the_log_is_cut_off_at_the_start_and_nothing_else(
    project: Project, tmp_path: Path
) -> None:
    with serving(project, tmp_path) as service:
        answered = {service.post()[1]["request_id"] for _ in range(20)}
        service.process.kill()
        service.process.wait()
    (segment,) = segments_in(service.log)
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[whole.rindex(MARK) : -5])
    with serving(project, tmp_path) as service:
        assert service.post()[0] == 200
        assert any("a half-written end of the prediction log was cut off" in line for line in service.said)
        assert segment.read_bytes() == whole
        assert answered < {row["request"] for row in service.logged()}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB where one can be mounted; else a folder, whose service may not write files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(folder: Path, process: int) -> Iterator[None]:
    """Nothing more can be written while the block runs."""
    if folder.is_mount():
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * 512):
                pass
        yield
        ballast.unlink()
        return
    before = resource.prlimit(process, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    yield
    resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_503_under_load_until_there_is_room_and_no_record_is_lost(
    project: Project, small_disk: Path
) -> None:
    with serving(project, small_disk) as service:
        load = Load(service, Asking(), Asking())
        try:
            wait_for("answers", lambda: len(load.answered) > 50)
            with full(small_disk, service.process.pid):
                wait_for("refusals", lambda: len(load.failed) > 50)
                before = len(load.answered)
                status, said = service.post()
                assert (status, said) == (
                    503,
                    {"error": "the prediction log is full: nothing is answered until there is room."},
                )
                assert service.get("/livez")[0] == 200
                assert len(load.answered) == before
            wait_for("answers again", lambda: len(load.answered) > before + 50)
        finally:
            load.stop()
        assert {item[0] for item in load.failed if isinstance(item, tuple)} == {503}
        assert all(isinstance(item, tuple) for item in load.failed)
        logged = [row["request"] for row in service.logged()]
        assert load.answered <= set(logged)
        assert len(logged) == len(set(logged))
        assert service.stop() == 0
    with serving(project, small_disk) as service:
        assert service.post()[0] == 200
        assert load.answered <= {row["request"] for row in service.logged()}


def test_the_folder_of_a_killed_service_is_removed_by_the_next_and_that_of_a_live_one_is_not(
    project: Project, tmp_path: Path
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    own_place = {"TMPDIR": str(place)}

    def left() -> set[str]:
        return {path.name for path in place.glob("nbprod-*")}

    with serving(project, tmp_path / "one", "--workers", "2", variables=own_place) as killed:
        own = left()
        assert len(own) == 1
        with serving(project, tmp_path / "two", variables=own_place) as lives:
            theirs = left() - own
            assert len(theirs) == 1
            family = killed.family()
            killed.process.kill()
            wait_for("the end of its workers", lambda: not any(map(is_alive, family)))
            assert left() == own | theirs
            with serving(project, tmp_path / "three", variables=own_place) as third:
                assert len(left()) == 2
                assert left() > theirs
                assert third.stop() == 0
            assert lives.post()[0] == 200
            assert lives.stop() == 0
    assert not left()
