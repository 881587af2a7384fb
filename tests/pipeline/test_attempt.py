"""Running one stage: what its notebook gets, and what is measured of what it left."""

from __future__ import annotations

import os

import fsspec
import pytest

from nbprod.digest import sha256_file, sha256_path
from nbprod.entities import Artifact, Metric, StageRun
from nbprod.executors import Control
from nbprod.pipeline.attempt import run_stage
from nbprod.pipeline.bind import Setting
from nbprod.pipeline.events import StageStarted
from nbprod.registry import Observed
from tests.fakes import FakeExecutor, FakeTracking, Lab

ONE = """\
name: p
stages:
  a:
    notebook: notebooks/a.ipynb
    inputs: {raw: data.csv}
    outputs: {out: sub/out.txt}
"""

PARAMETERS = "raw = ''\nout = ''\nn: int = 1\nshare = 0.5"

CHAIN = """\
name: p
stages:
  first: {notebook: notebooks/first.ipynb, outputs: {out: first.txt}}
  second: {notebook: notebooks/second.ipynb, inputs: {x: first.out}}
"""


@pytest.fixture
def one(lab: Lab) -> Lab:
    """A stage that writes its output."""
    lab.file("data.csv", "data")
    lab.notebook("a", "write(out, read(raw) * n)", parameters=PARAMETERS)
    return lab.pipeline(ONE)


@pytest.fixture
def chain(lab: Lab) -> Lab:
    """A stage that makes something, and one that reads it."""
    lab.notebook("first", "write(out, 'made')", parameters="out = ''")
    lab.notebook("second", "read(x)", parameters="x = ''")
    return lab.pipeline(CHAIN)


@pytest.fixture
def plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is root, and no file system makes reflinks: files are shared by hard links."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("nbprod.store._reflink", lambda source, target: False)


def ended(lab: Lab, *settings: Setting, stage: str = "a") -> StageRun:
    """How a stage of a new run ended."""
    return next(item for item in lab.run(*settings).stages if item.stage == stage)


def message(found: StageRun) -> str:
    assert found.error is not None
    assert found.status == "failed"
    return found.error.message


def test_inputs_and_outputs_arrive_as_absolute_paths_beside_the_values_that_are_set(one: Lab) -> None:
    found = ended(one, Setting(name="n", value=2, origin="-p"))
    assert one.executor.jobs["a"].parameters == {
        "n": 2,
        "raw": str(one.root / "data.csv"),
        "out": str(one.project.runs / found.run / "a" / "sub" / "out.txt"),
    }
    assert (one.project.runs / found.run / "a" / "sub" / "out.txt").read_text() == "datadata"


def test_the_kernel_starts_in_the_notebooks_folder_and_is_told_where_it_is(one: Lab) -> None:
    found = ended(one)
    job = one.executor.jobs["a"]
    assert (job.folder, job.kernel) == (one.root / "notebooks", "python3")
    told = {name: value for name, value in job.environment.items() if name.startswith("NBPROD_")}
    assert told == {
        "NBPROD_PROJECT": str(one.root),
        "NBPROD_RUN": found.run,
        "NBPROD_STAGE": "a",
        "NBPROD_ATTEMPT": "1",
        "NBPROD_STAGE_DIR": str(one.project.runs / found.run / "a"),
        "NBPROD_TRUSTED": "[]",
    }
    assert job.environment["MLFLOW_DISABLE_TELEMETRY"] == job.environment["DO_NOT_TRACK"] == "true"


def test_the_environment_of_this_process_is_left_alone(one: Lab) -> None:
    before = dict(os.environ)
    ended(one)
    assert dict(os.environ) == before


def test_what_a_stage_read_and_left_is_measured(one: Lab) -> None:
    found = ended(one)
    folder = f"runs/{found.run}"
    executed = one.root / folder / "a.ipynb"
    assert found.inputs == {
        "raw": Artifact(name="raw", uri="data.csv", sha256=sha256_file(one.root / "data.csv"), size=4, role="input")
    }
    assert found.outputs == {
        "out": Artifact(name="out", uri=f"{folder}/a/sub/out.txt", sha256=sha256_file(one.root / "data.csv"), size=4)
    }
    assert found.executed == Artifact(
        name="a.ipynb", uri=f"{folder}/a.ipynb", sha256=sha256_file(executed), size=executed.stat().st_size
    )
    assert (found.cells, found.pending, found.attempts, found.error) == (2, 0, 1, None)
    assert found.started <= found.ended


def test_everything_that_was_measured_is_kept(one: Lab) -> None:
    found = ended(one)
    assert found.executed is not None
    assert [one.store.holds(item) for item in (*found.inputs.values(), *found.outputs.values(), found.executed)] == [
        True
    ] * 3


def test_a_result_can_be_found_as_soon_as_the_stage_is_no_longer_locked(one: Lab) -> None:
    (item,) = one.bind()
    found = run_stage(one.bench(), item, one.planner().decide(item, {}), Control())
    assert one.index.result(found.key) == found, "though the run has not been saved yet"


def test_an_output_is_read_only_and_the_executed_notebook_is_not(one: Lab) -> None:
    found = ended(one)
    assert found.executed is not None
    assert (one.root / found.outputs["out"].uri).stat().st_mode & 0o777 == 0o444
    assert (one.root / found.executed.uri).stat().st_mode & 0o200


@pytest.mark.parametrize("how", ["not kept", "too large"])
def test_an_input_that_is_not_to_be_kept_is_only_measured(one: Lab, how: str) -> None:
    if how == "not kept":
        one.pipeline(ONE.replace("raw: data.csv", "raw: {path: data.csv, keep: false}"))
    else:
        one.file("pyproject.toml", "[tool.nbprod]\nkeep_max = 3\n")
        one.reopen()
    found = ended(one, Setting(name="n", value=2, origin="-p"))
    assert found.status == "succeeded"
    assert found.inputs["raw"].sha256 == sha256_file(one.root / "data.csv")
    assert not one.store.holds(found.inputs["raw"])


def test_parameters_are_recorded_with_their_defaults_but_paths_are_not_among_them(one: Lab) -> None:
    assert ended(one, Setting(name="n", value=2, origin="-p")).params == {"n": 2, "share": 0.5}


def test_what_a_notebook_reports_is_read_from_it(one: Lab) -> None:
    one.notebook(
        "a",
        "write(out, 'x')",
        "job.report('metric', 'auc', 0.9, dataset='test')\njob.report('artifact', 'roc.txt', {'path': 'roc.txt'})",
        "write(job.folder / 'roc.txt', 'curve')\n(job.folder / 'model').mkdir()\n"
        "write(job.folder / 'model/MLmodel', 'm')\n"
        "job.report('model', 'model', {'path': 'model'})",
        parameters=PARAMETERS,
    )
    found = ended(one)
    assert found.metrics == (Metric(name="auc", value=0.9, dataset="test", stage="a"),)
    assert [(a.name, a.kind, a.role, a.size) for a in found.outputs.values()] == [
        ("out", "file", "output", 1),
        ("roc.txt", "file", "artifact", 5),
        ("model", "folder", "model", 1),
    ]
    assert found.outputs["model"].sha256 == sha256_path(one.root / found.outputs["model"].uri)


def test_an_output_that_was_not_written_fails_the_stage_with_the_nearest_file(one: Lab) -> None:
    one.notebook("a", "write(out.replace('out.txt', 'ouput.txt'), 'x')", parameters=PARAMETERS)
    found = ended(one)
    assert message(found) == (
        f"the notebook ended well but left no output 'out' at runs/{found.run}/a/sub/out.txt: "
        "write it to the path in the parameter 'out'. Did you mean 'ouput.txt'?"
    )
    assert found.executed is not None


def test_an_artifact_that_was_reported_but_is_not_there_fails_the_stage(one: Lab) -> None:
    one.notebook("a", "write(out, 'x')\njob.report('artifact', 'roc', {'path': 'roc.txt'})", parameters=PARAMETERS)
    found = ended(one)
    assert message(found) == f"the artifact 'roc.txt' was logged but is not at runs/{found.run}/a/roc.txt."


def test_a_cell_that_fails_is_recorded_with_all_that_a_person_needs(one: Lab) -> None:
    one.notebook("a", "write(out, 'half')", "1 / 0", "never = 1", parameters=PARAMETERS)
    found = ended(one)
    assert found.error is not None
    assert (found.error.message, found.error.cell, found.error.source) == (
        "ZeroDivisionError: division by zero",
        3,
        "1 / 0",
    )
    assert "ZeroDivisionError" in found.error.traceback
    assert (found.status, found.cells, found.pending) == ("failed", 4, 1)
    assert found.executed is not None
    assert (one.root / found.executed.uri).is_file()
    assert (one.project.runs / found.run / "a" / "sub" / "out.txt").read_text() == "half", "for a person to look at"
    assert one.index.result(found.key) is None


def test_a_stage_is_tried_again_as_often_as_it_says(one: Lab) -> None:
    one.pipeline(ONE + "    retries: 2\n")
    one.notebook("a", "assert job.environment['NBPROD_ATTEMPT'] == '3'\nwrite(out, 'x')", parameters=PARAMETERS)
    found = ended(one)
    assert (found.status, found.attempts) == ("succeeded", 3)
    assert [event.attempt for event in one.events if isinstance(event, StageStarted)] == [1, 2, 3]


def test_after_the_last_attempt_a_stage_has_failed(one: Lab) -> None:
    one.pipeline(ONE + "    retries: 1\n")
    one.notebook("a", "1 / 0", parameters=PARAMETERS)
    found = ended(one)
    assert (found.status, found.attempts, one.executor.executed) == ("failed", 2, ["a", "a"])


def test_an_attempt_finds_nothing_of_the_one_before(one: Lab) -> None:
    one.pipeline(ONE + "    retries: 1\n")
    alone = "assert not (job.folder / 'left').exists()\nwrite(job.folder / 'left', 'x')"
    second = "assert job.environment['NBPROD_ATTEMPT'] == '2'"
    one.notebook("a", alone, second, "write(out, 'x')", parameters=PARAMETERS)
    assert ended(one).attempts == 2


def test_a_stage_that_takes_too_long_is_stopped(one: Lab) -> None:
    one.pipeline(ONE + "    timeout: 0.2\n")
    one.notebook("a", "job.until_stopped()", "never = 1", parameters=PARAMETERS)
    found = ended(one)
    assert message(found) == "took longer than its timeout of 0.2 s."
    assert found.pending == 1


def test_a_stage_that_was_too_slow_is_tried_again(one: Lab) -> None:
    one.pipeline(ONE + "    timeout: 0.2\n    retries: 1\n")
    code = "if job.environment['NBPROD_ATTEMPT'] == '1':\n    job.until_stopped()\nwrite(out, 'x')"
    one.notebook("a", code, parameters=PARAMETERS)
    found = ended(one)
    assert (found.status, found.attempts) == ("succeeded", 2)


def test_the_project_may_set_a_timeout_for_all_stages(one: Lab) -> None:
    one.file("pyproject.toml", "[tool.nbprod]\ntimeout = 0.2\n")
    one.reopen()
    one.notebook("a", "job.until_stopped()", parameters=PARAMETERS)
    assert message(ended(one)) == "took longer than its timeout of 0.2 s."


def test_a_stage_in_time_does_not_fail_for_having_a_timeout(one: Lab) -> None:
    one.pipeline(ONE + "    timeout: 1h\n")
    assert ended(one).status == "succeeded"


def test_a_file_of_the_project_that_a_stage_changed_fails_it(one: Lab) -> None:
    one.notebook("a", "write(out, 'x')\nwrite(raw, 'changed')", parameters=PARAMETERS)
    assert (
        message(ended(one)) == "changed its input 'raw' (data.csv): write to an output instead, inputs are only read."
    )
    assert (one.root / "data.csv").read_text() == "changed", "nbprod does not write to other people's files"


def test_an_input_that_a_stage_removed_fails_it(one: Lab) -> None:
    one.notebook("a", "write(out, 'x')\nimport os\nos.remove(raw)", parameters=PARAMETERS)
    assert message(ended(one)).startswith("changed its input 'raw' (data.csv)")


def test_a_member_that_a_stage_added_to_a_folder_it_reads_fails_it(one: Lab) -> None:
    one.file("data/a.csv")
    one.pipeline(ONE.replace("data.csv", "data"))
    one.notebook("a", "write(out, 'x')\nwrite(raw + '/b.csv', 'x')", parameters=PARAMETERS)
    assert message(ended(one)).startswith("changed its input 'raw' (data)")


def test_touching_an_input_is_no_change(one: Lab) -> None:
    one.notebook("a", "write(out, 'x')\nimport os\nos.utime(raw)", parameters=PARAMETERS)
    assert ended(one).status == "succeeded"


@pytest.mark.parametrize("code", ["import os\nos.chmod(x, 0o644)\nwrite(x, 'changed')", "import os\nos.remove(x)"])
def test_what_another_stage_made_is_put_back_when_a_stage_changes_it(chain: Lab, code: str) -> None:
    chain.notebook("second", code, parameters="x = ''")
    found = ended(chain, stage="second")
    made = found.inputs["x"]
    assert message(found).startswith(f"changed its input 'x' ({made.uri})")
    assert sha256_file(chain.root / made.uri) == made.sha256
    chain.store.place(made, chain.root / "again.txt")
    assert (chain.root / "again.txt").read_text() == "made"
    assert chain.plan()["first"].action == "reuse"


def test_what_was_fetched_is_fetched_again_when_a_stage_changes_it(lab: Lab) -> None:
    fsspec.filesystem("memory").pipe_file("/changing/data.csv", b"data")
    lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb, inputs: {x: 'memory://changing/data.csv'}}}")
    lab.notebook("a", "write(x, 'changed')", parameters="x = ''")
    assert message(ended(lab)).startswith("changed its input 'x' (memory://changing/data.csv)")
    lab.notebook("a", "assert read(x) == 'data'", parameters="x = ''")
    assert ended(lab).status == "succeeded"


@pytest.mark.usefixtures("plain_user")
def test_bytes_that_are_shared_with_the_store_are_found_changed_and_made_again(chain: Lab) -> None:
    chain.notebook("second", "import os\nos.chmod(x, 0o644)\nwrite(x, 'changed')", parameters="x = ''")
    assert message(ended(chain, stage="second")).startswith("changed its input 'x'")
    chain.notebook("second", "assert read(x) == 'made'", parameters="x = ''")
    again = chain.run()
    assert again.status == "succeeded"
    assert [stage.action for stage in again.stages] == ["run", "run"]


@pytest.mark.usefixtures("plain_user")
def test_a_hard_link_of_an_input_that_somebody_else_makes_is_no_change(chain: Lab) -> None:
    chain.executor = FakeExecutor(link=os.link)
    chain.notebook("second", "link(x, job.folder / 'elsewhere')", parameters="x = ''")
    assert ended(chain, stage="second").status == "succeeded"


def test_what_plain_mlflow_logged_is_added_to_what_was_reported(one: Lab) -> None:
    seen = Observed(
        metrics=(Metric(name="auc", value=0.1, dataset="test"), Metric(name="loss", value=0.2, dataset="train")),
        runs=("mlflow-1",),
    )
    one.tracking = FakeTracking({"a": seen})
    code = "write(out, 'x')\njob.report('metric', 'auc', 0.9, dataset='test')\nwrite(f'{job.folder}.mlflow', '')"
    one.notebook("a", code, parameters=PARAMETERS)
    found = ended(one)
    assert [(m.name, m.dataset, m.value, m.stage) for m in found.metrics] == [
        ("auc", "test", 0.9, "a"),
        ("loss", "train", 0.2, "a"),
    ]
    assert found.tracked == ("mlflow-1",)


def test_the_registry_is_not_asked_about_a_notebook_that_never_used_mlflow(one: Lab) -> None:
    one.tracking = FakeTracking({"a": Observed(runs=("of another time",))})
    assert ended(one).tracked == ()


@pytest.mark.parametrize("end", ["", "\n1 / 0"])
def test_the_mark_that_mlflow_was_used_is_taken_away(one: Lab, end: str) -> None:
    code = f"write(out, 'x')\nwrite(f'{{job.folder}}.mlflow', ''){end}"
    one.notebook("a", code, parameters=PARAMETERS)
    found = ended(one)
    assert list((one.project.runs / found.run).glob("*.mlflow")) == []


def test_a_stage_may_have_neither_parameters_nor_outputs(lab: Lab) -> None:
    lab.notebook("a", "x = 1")
    lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb}}")
    found = ended(lab)
    assert (found.status, found.params, found.outputs, lab.executor.jobs["a"].parameters) == ("succeeded", {}, {}, {})
