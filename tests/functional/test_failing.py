"""Failing well: one pipeline in which nearly every stage fails in its own way, and two that do not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import PAPERMILL, Project, actions, code, markdown, parameters, printed, stages

PIPELINE = """
name: failing
stages:
  good: {notebook: notebooks/good.ipynb, inputs: {raw: data/raw.csv}, outputs: {made: made.txt}}
  after_good: {notebook: notebooks/reads.ipynb, inputs: {source: good.made}}
  zero: {notebook: notebooks/zero.ipynb, params: {n: 0}, outputs: {made: made.txt}}
  after_zero: {notebook: notebooks/reads.ipynb, inputs: {source: zero.made}}
  exits: {notebook: notebooks/exits.ipynb}
  raises: {notebook: notebooks/raises.ipynb}
  ends: {notebook: notebooks/ends.ipynb}
  shell: {notebook: notebooks/shell.ipynb}
  shell_meant: {notebook: notebooks/shell_meant.ipynb}
  magic: {notebook: notebooks/magic.ipynb}
  dies: {notebook: notebooks/dies.ipynb}
  asks: {notebook: notebooks/asks.ipynb}
  slow: {notebook: notebooks/slow.ipynb, timeout: 10s}
  retried: {notebook: notebooks/retried.ipynb, retries: 2, inputs: {marker_folder: {path: data/markers, keep: false}}}
  leaves_nothing: {notebook: notebooks/leaves_nothing.ipynb, outputs: {made: made.txt}}
  changes_made: {notebook: notebooks/changes.ipynb, inputs: {source: good.made, after: after_good.done.json}}
  changes_file: {notebook: notebooks/changes.ipynb, inputs: {source: data/own.txt, after: data/raw.csv}}
"""

CHANGES = """
import os, pathlib
path = pathlib.Path(source)
os.chmod(path, 0o644)
path.write_text("changed\\n")
"""


def write_notebooks(project: Project) -> None:
    """The notebooks of `PIPELINE`."""
    write = project.notebook
    write(
        "notebooks/good.ipynb",
        parameters('raw = "x"  # input\nmade = "x"  # output'),
        "from pathlib import Path\nPath(made).write_text(Path(raw).read_text())",
    )
    write(
        "notebooks/reads.ipynb",
        parameters('source = "x"  # input'),
        "text = open(source).read()",
        "import nbprod\nnbprod.log_artifact({'text': text}, name='done.json')",
    )
    write(
        "notebooks/zero.ipynb",
        markdown("# A division"),
        parameters('n: int = 1\nmade = "x"  # output'),
        "print('n is', n)\n100 / n",
        "open(made, 'w').write('never')",
        "print('the end')",
    )
    write("notebooks/exits.ipynb", "import sys", "sys.exit(0)", "print('never')", "print('never')")
    write("notebooks/raises.ipynb", "raise SystemExit", "print('never')")
    write("notebooks/ends.ipynb", "print('all done')", "import sys\nsys.exit(0)")
    write("notebooks/shell.ipynb", "! echo before\n! false", "print('never')")
    write("notebooks/shell_meant.ipynb", code("! false", "raises-exception"), "print('reached')")
    write("notebooks/magic.ipynb", "%no_such_magic at all", "print('never')")
    write("notebooks/dies.ipynb", "import os", "os._exit(3)", "print('never')")
    write("notebooks/asks.ipynb", "name = input('your name? ')", "print('never')")
    write("notebooks/slow.ipynb", "import time", "time.sleep(120)", "print('never')")
    write(
        "notebooks/retried.ipynb",
        parameters('marker_folder = "x"  # input'),
        "import os\nfrom pathlib import Path\nmarker = Path(marker_folder).parent / 'tried.txt'",
        "again = marker.exists()\nmarker.write_text('yes')\nassert again, 'the first time it fails'",
    )
    write("notebooks/leaves_nothing.ipynb", parameters('made = "x"  # output'), "print(made)")
    write(
        "notebooks/changes.ipynb",
        parameters('source = "x"  # input\nafter = "x"  # input'),
        CHANGES,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One run of the pipeline, and what was planned after it."""

    project: Project
    report: Any
    planned: Any

    def stage(self, name: str) -> Any:
        """What the run says of a stage."""
        return next(stage for stage in self.report["stages"] if stage["name"] == name)

    def executed(self, name: str) -> Any:
        """A stage's executed notebook."""
        return self.project.read(self.stage(name)["executed"])


@pytest.fixture(scope="module")
def story(make_project: Make) -> Story:
    project = make_project("failing")
    project.write("pipelines/failing.yaml", PIPELINE)
    project.write("data/raw.csv", "a,b\n1,2\n")
    project.write("data/own.txt", "as it was\n")
    project.write("data/markers/one.txt", "1\n")
    write_notebooks(project)
    report = project.document("run", code=3)
    return Story(project=project, report=report, planned=project.document("plan"))


def check_failed(story: Story, stage: str, *, cell: int, says: str) -> None:
    """A stage failed at a cell with a message."""
    found = story.stage(stage)
    assert (found["action"], found["status"]) == ("run", "failed")
    assert found["error"]["cell"] == cell
    assert says in found["error"]["message"]


def test_the_run_failed_and_every_stage_says_how_it_ended(story: Story) -> None:
    assert story.report["status"] == "failed"
    assert story.report["version"] is None
    ended = {name: status for name, (_, status) in stages(story.report).items()}
    assert {name for name, status in ended.items() if status == "succeeded"} == {
        "good", "after_good", "ends", "shell_meant", "retried",
    }  # fmt: skip
    assert {name for name, status in ended.items() if status == "skipped"} == {"after_zero"}


def test_a_failed_cell_is_shown_with_its_number_source_and_error(story: Story) -> None:
    error = story.stage("zero")["error"]
    assert error["cell"] == 3
    assert error["source"] == "print('n is', n)\n100 / n"
    assert error["message"] == "ZeroDivisionError: division by zero"
    assert "100 / n" in re.sub(r"\x1b\[[0-9;]*m", "", error["traceback"])


def test_the_failed_cell_is_shown_to_a_person_with_the_executed_notebook(story: Story) -> None:
    done = story.project.nbprod("run", "--stage", "zero", code=3)
    assert "failed: stage zero (notebooks/zero.ipynb, cell 3)" in done.stderr
    assert "  >   2 | 100 / n" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "2 later cells never ran." in done.stderr
    path = next(line for line in done.stderr.splitlines() if "executed notebook:" in line).split()[-1]
    assert (story.project.root / path).is_file()
    assert f"next: jupyter lab {path}" in done.stderr


def test_branches_that_do_not_depend_on_a_failure_finish(story: Story) -> None:
    assert story.stage("after_good")["status"] == "succeeded"
    assert story.stage("after_zero")["reasons"] == ["stage 'zero' did not succeed"]


def test_the_next_run_reuses_what_was_done_and_only_that(story: Story) -> None:
    reused = {name for name, action in actions(story.planned).items() if action == "reuse"}
    assert reused == {"good", "after_good", "ends", "shell_meant", "retried"}
    report = story.project.document("run", "--stage", "after_good", "--stage", "retried")
    assert set(actions(report).values()) == {"reuse"}


def test_a_failed_notebook_holds_its_error_and_its_injected_parameters(story: Story) -> None:
    cells = [cell for cell in story.executed("zero")["cells"] if cell["cell_type"] == "code"]
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    injected = tags.index(["injected-parameters"])
    assert "n = 0" in "".join(cells[injected]["source"])
    assert [output["output_type"] for output in cells[injected + 1]["outputs"]] == ["stream", "error"]
    assert [cell["execution_count"] for cell in cells[injected + 2 :]] == [None, None]


def test_a_failed_notebook_reruns_with_its_injected_parameters(story: Story, tmp_path: Path) -> None:
    executed = story.stage("zero")["executed"]
    again = story.project.call(
        *PAPERMILL, "--no-progress-bar", executed, str(tmp_path / "again.ipynb"), code=1
    )  # fmt: skip
    assert "ZeroDivisionError" in again.stderr
    notebook = story.executed("zero")
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace("100 / n", "100 / (n + 1)")
    where = "import os\nprint(os.path.relpath(os.getcwd(), os.environ['ROOT']))"
    mended = story.project.notebook(executed.replace("zero.ipynb", "mended.ipynb"), *notebook["cells"], where)
    story.project.call(
        *PAPERMILL, "--no-progress-bar", str(mended), str(tmp_path / "mended.ipynb"), ROOT=str(story.project.root)
    )
    assert printed(story.project.read(str(tmp_path / "mended.ipynb"))) == "n is 0\nthe end\nnotebooks\n"


def test_sys_exit_in_the_middle_is_a_failure_with_cells_pending(story: Story) -> None:
    check_failed(story, "exits", cell=2, says="the notebook ended itself here (SystemExit 0).")
    (run,) = [run for run in story.project.document("runs") if run["id"] == story.report["run"]]
    assert {stage["stage"]: stage["pending"] for stage in run["stages"]}["exits"] == 2
    assert "never" not in printed(story.executed("exits"))


def test_raise_systemexit_is_a_failure(story: Story) -> None:
    check_failed(story, "raises", cell=1, says="the notebook ended itself here (SystemExit 0).")


def test_sys_exit_in_the_last_cell_is_no_failure(story: Story) -> None:
    assert story.stage("ends")["status"] == "succeeded"
    assert "all done" in printed(story.executed("ends"))


def test_a_failing_shell_command_at_the_end_of_a_cell_is_a_failure(story: Story) -> None:
    check_failed(story, "shell", cell=1, says="the shell command that ends the cell exited with 1")
    assert "raises-exception" in story.stage("shell")["error"]["message"]


def test_a_failing_shell_command_passes_where_the_cell_says_so(story: Story) -> None:
    assert story.stage("shell_meant")["status"] == "succeeded"
    assert printed(story.executed("shell_meant")) == "reached\n"


def test_a_failing_line_magic_is_a_failure_and_says_what_it_was(story: Story) -> None:
    check_failed(story, "magic", cell=1, says="no_such_magic")


def test_a_kernel_that_dies_is_a_failure_and_does_not_hang(story: Story) -> None:
    check_failed(story, "dies", cell=2, says="the kernel died")


def test_a_notebook_that_asks_for_input_fails_and_does_not_hang(story: Story) -> None:
    check_failed(story, "asks", cell=1, says="StdinNotImplementedError")


def test_a_stage_that_takes_longer_than_its_timeout_fails(story: Story) -> None:
    check_failed(story, "slow", cell=2, says="took longer than its timeout of 10 s.")


def test_a_stage_is_tried_again_as_often_as_it_says(story: Story) -> None:
    (run,) = [run for run in story.project.document("runs") if run["id"] == story.report["run"]]
    tried = {stage["stage"]: stage["attempts"] for stage in run["stages"]}
    assert (tried["retried"], tried["zero"]) == (2, 1)


def test_an_output_that_was_not_written_is_a_failure(story: Story) -> None:
    check_failed(story, "leaves_nothing", cell=0, says="left no output 'made'")
    assert "write it to the path in the parameter 'made'" in story.stage("leaves_nothing")["error"]["message"]


@pytest.mark.parametrize("stage", ["changes_made", "changes_file"])
def test_a_stage_that_changes_its_input_fails(story: Story, stage: str) -> None:
    check_failed(story, stage, cell=0, says="changed its input 'source'")
    assert "write to an output instead" in story.stage(stage)["error"]["message"]


def test_what_a_stage_changed_is_put_back_from_a_store_that_is_unharmed(story: Story) -> None:
    made = story.project.root / "runs" / story.report["run"] / "good" / "made.txt"
    assert made.read_text() == "a,b\n1,2\n"
    kept = [content for name, content in story.project.files(".nbprod/store").items()]
    assert b"changed\n" not in kept
    assert b"a,b\n1,2\n" in kept
    assert not os.access(made, os.W_OK) or os.geteuid() == 0
