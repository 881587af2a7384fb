"""Running a pipeline: side by side, failing well, interrupted, and never twice."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest

from nbprod.entities import Run, StageRun
from nbprod.index import RUN_SCHEMA, Index
from nbprod.pipeline.bind import Setting
from nbprod.pipeline.events import CellStarted, Event, StageEnded, StageStarted, StageWaits
from nbprod.store import LocalObjects
from tests.fakes import WAIT, FakeExecutor, Lab

DIAMOND = """\
name: p
stages:
  first: {notebook: notebooks/first.ipynb, inputs: {raw: data.csv}, outputs: {out: first.txt}}
  left: {notebook: notebooks/left.ipynb, inputs: {x: first.out}, outputs: {out: left.txt}}
  right: {notebook: notebooks/right.ipynb, inputs: {x: first.out}, outputs: {out: right.txt}}
  join: {notebook: notebooks/join.ipynb, inputs: {a: left.out, b: right.out}, outputs: {out: join.txt}}
"""


@pytest.fixture
def diamond(lab: Lab) -> Lab:
    """Four stages: two in the middle that do not need each other."""
    lab.file("data.csv", "data")
    lab.notebook("first", "write(out, read(raw) + '!')", parameters="raw = ''\nout = ''")
    lab.notebook("left", "write(out, read(x) + 'l')", parameters="x = ''\nout = ''")
    lab.notebook("right", "write(out, read(x) + 'r')", parameters="x = ''\nout = ''")
    lab.notebook("join", "write(out, read(a) + read(b))", parameters="a = ''\nb = ''\nout = ''")
    return lab.pipeline(DIAMOND)


def statuses(run: Run) -> dict[str, str]:
    return {stage.stage: stage.status for stage in run.stages}


def actions(run: Run) -> dict[str, str]:
    return {stage.stage: stage.action for stage in run.stages}


def stage_of(run: Run, name: str) -> StageRun:
    return next(stage for stage in run.stages if stage.stage == name)


def text_of(lab: Lab, run: Run, stage: str, output: str = "out") -> str:
    """What lies where a run says that a stage's output is."""
    return (lab.root / stage_of(run, stage).outputs[output].uri).read_text()


def on_disk(lab: Lab, run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab.project.runs / run.id / "run.json").read_text())
    return found


def test_a_pipeline_runs_from_its_first_stage_to_its_last(diamond: Lab) -> None:
    run = diamond.run()
    assert run.status == "succeeded"
    assert statuses(run) == dict.fromkeys(("first", "left", "right", "join"), "succeeded")
    assert text_of(diamond, run, "join") == "data!ldata!r"
    assert diamond.index.run(run.id) == run


def test_stages_that_do_not_need_each_other_run_side_by_side(diamond: Lab) -> None:
    together = threading.Barrier(2)
    diamond.executor = FakeExecutor(together=together)
    for stage in ("left", "right"):
        diamond.notebook(stage, f"together.wait({WAIT})\nwrite(out, 'x')", parameters="x = ''\nout = ''")
    assert diamond.run(jobs=2).status == "succeeded", "each waits until the other runs"


def test_no_more_stages_than_jobs_run_at_once(diamond: Lab) -> None:
    alone = threading.Lock()
    diamond.executor = FakeExecutor(alone=alone)
    for stage in ("left", "right"):
        code = "assert alone.acquire(blocking=False)\nwrite(out, 'x')\nalone.release()"
        diamond.notebook(stage, code, parameters="x = ''\nout = ''")
    assert diamond.run(jobs=1).status == "succeeded"
    assert diamond.executor.executed == ["first", "left", "right", "join"]


def test_a_branch_that_fails_stops_what_needs_it_and_nothing_else(diamond: Lab) -> None:
    diamond.notebook("left", "1 / 0", parameters="x = ''\nout = ''")
    run = diamond.run()
    assert run.status == "failed"
    assert statuses(run) == {"first": "succeeded", "left": "failed", "right": "succeeded", "join": "skipped"}
    assert stage_of(run, "join").reasons == ("stage 'left' did not succeed",)
    assert "join" not in diamond.executor.executed


def test_what_needs_a_skipped_stage_is_skipped_too(diamond: Lab) -> None:
    diamond.notebook("first", "1 / 0", parameters="raw = ''\nout = ''")
    run = diamond.run()
    assert statuses(run) == {"first": "failed", "left": "skipped", "right": "skipped", "join": "skipped"}
    assert stage_of(run, "join").reasons == ("stage 'left' did not succeed", "stage 'right' did not succeed")


def test_after_a_failure_the_next_run_reuses_what_was_done(diamond: Lab) -> None:
    diamond.notebook("left", "1 / 0", parameters="x = ''\nout = ''")
    diamond.run()
    diamond.notebook("left", "write(out, read(x) + 'l')", parameters="x = ''\nout = ''")
    diamond.executor.executed.clear()
    run = diamond.run()
    assert run.status == "succeeded"
    assert actions(run) == {"first": "reuse", "left": "run", "right": "reuse", "join": "run"}
    assert diamond.executor.executed == ["left", "join"]


def test_a_second_run_runs_nothing_and_has_a_whole_folder(diamond: Lab) -> None:
    first = diamond.run()
    diamond.executor.executed.clear()
    second = diamond.run()
    assert diamond.executor.executed == []
    assert set(actions(second).values()) == {"reuse"}
    assert stage_of(second, "join").reasons == (f"same key as run {first.id}",)
    assert stage_of(second, "join").outputs["out"].uri == f"runs/{second.id}/join/join.txt"
    assert text_of(diamond, second, "join") == "data!ldata!r"
    assert (diamond.project.runs / second.id / "join.ipynb").is_file()


def test_what_a_rerun_makes_again_byte_for_byte_stops_the_rerunning(diamond: Lab) -> None:
    diamond.run()
    diamond.notebook("first", "text = read(raw)\nwrite(out, text + '!')", parameters="raw = ''\nout = ''")
    run = diamond.run()
    assert actions(run) == {"first": "run", "left": "reuse", "right": "reuse", "join": "reuse"}


def test_forced_stages_run_though_nothing_changed(diamond: Lab) -> None:
    diamond.run()
    assert actions(diamond.run(forced=["left"])) == {"first": "reuse", "left": "run", "right": "reuse", "join": "reuse"}


def test_a_result_that_the_store_no_longer_holds_whole_is_made_again(diamond: Lab) -> None:
    first = diamond.run()
    assert isinstance(diamond.store.objects, LocalObjects)
    kept = diamond.store.objects.path(stage_of(first, "left").outputs["out"].sha256)
    kept.chmod(0o644)
    kept.write_text("damaged")
    second = diamond.run()
    assert second.status == "succeeded"
    assert actions(second) == {"first": "reuse", "left": "run", "right": "reuse", "join": "reuse"}
    assert stage_of(second, "left").reasons == (
        "its bytes were changed after it was stored, so it was taken out: run again, the stage that makes it "
        "will rerun.",
    )
    assert text_of(diamond, second, "left") == "data!l"


def test_the_executed_notebook_of_a_reused_stage_can_be_edited_without_harm(
    diamond: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("nbprod.store._reflink", lambda source, target: False)
    diamond.run()
    second = diamond.run()
    notebook = diamond.project.runs / second.id / "join.ipynb"
    notebook.write_text("edited")
    third = diamond.run()
    assert actions(third)["join"] == "reuse"
    assert json.loads((diamond.project.runs / third.id / "join.ipynb").read_text())["nbformat"] == 4


def test_the_run_file_is_whole_after_each_stage(diamond: Lab) -> None:
    seen: list[tuple[str, str, list[str]]] = []

    def look(event: Event) -> None:
        if isinstance(event, StageEnded):
            (file,) = diamond.project.runs.glob("2*/run.json")
            found = json.loads(file.read_text())
            seen.append((found["schema"], found["status"], [stage["stage"] for stage in found["stages"]]))

    diamond.watch = look
    run = diamond.run(jobs=1)
    assert seen == [
        (RUN_SCHEMA, "running", ["first"]),
        (RUN_SCHEMA, "running", ["first", "left"]),
        (RUN_SCHEMA, "running", ["first", "left", "right"]),
        (RUN_SCHEMA, "running", ["first", "left", "right", "join"]),
    ]
    assert on_disk(diamond, run) == {"schema": RUN_SCHEMA, **run.to_dict()}


def test_a_finished_stage_is_kept_before_anybody_is_told_of_it(diamond: Lab) -> None:
    class Killed(BaseException):
        """The process ends here."""

    def die(event: Event) -> None:
        if isinstance(event, StageEnded):
            raise Killed

    diamond.watch = die
    with pytest.raises(Killed):
        diamond.run(jobs=1)
    diamond.watch = lambda event: None
    assert diamond.plan()["first"].action == "reuse"


def test_an_index_that_was_lost_costs_no_finished_stage(diamond: Lab) -> None:
    diamond.run()
    diamond.index.close()
    for file in diamond.project.data.glob("index.db*"):
        file.unlink()
    diamond.index = Index(diamond.project.data / "index.db", diamond.project.runs)
    assert {decision.action for decision in diamond.plan().values()} == {"reuse"}


def test_events_tell_what_goes_on(diamond: Lab) -> None:
    diamond.run(jobs=1)
    told: list[Any] = [event for event in diamond.events if getattr(event, "stage", "") == "first"]
    assert told == [
        StageStarted(stage="first", reasons=("it never ran",)),
        CellStarted(stage="first", cell=1, cells=2),
        CellStarted(stage="first", cell=2, cells=2),
    ]
    ended = [event.stage.stage for event in diamond.events if isinstance(event, StageEnded)]
    assert ended == ["first", "left", "right", "join"]


def test_ctrl_c_stops_every_kernel_and_records_interrupted(diamond: Lab) -> None:
    both = threading.Barrier(2)

    def interrupt() -> None:
        if both.wait(WAIT) == 0:
            os.kill(os.getpid(), signal.SIGINT)

    diamond.executor = FakeExecutor(interrupt=interrupt)
    for stage in ("left", "right"):
        diamond.notebook(stage, "interrupt()\njob.until_stopped()", "1 / 0", parameters="x = ''\nout = ''")
    with pytest.raises(KeyboardInterrupt):
        diamond.run()
    (run,) = diamond.index.runs()
    assert run.status == "interrupted"
    assert statuses(run) == {"first": "succeeded", "left": "interrupted", "right": "interrupted"}
    assert stage_of(run, "left").pending == 1
    assert on_disk(diamond, run)["status"] == "interrupted"


def test_after_ctrl_c_the_next_run_goes_on_where_it_stopped(diamond: Lab) -> None:
    diamond.executor = FakeExecutor(interrupt=lambda: os.kill(os.getpid(), signal.SIGINT))
    diamond.notebook("left", "interrupt()\njob.until_stopped()", parameters="x = ''\nout = ''")
    with pytest.raises(KeyboardInterrupt):
        diamond.run(jobs=1)
    diamond.notebook("left", "write(out, 'l')", parameters="x = ''\nout = ''")
    run = diamond.run()
    assert (run.status, actions(run)["first"]) == ("succeeded", "reuse")


def test_a_stage_whose_input_was_not_left_fails_with_the_nearest_that_was(lab: Lab) -> None:
    lab.notebook("a", "name = 'model'\nif False:\n    log_model(1, name=name)")
    lab.notebook("b", "pass", parameters="model = ''")
    lab.pipeline(
        "name: p\nstages:\n  a: {notebook: notebooks/a.ipynb}\n"
        "  b: {notebook: notebooks/b.ipynb, inputs: {model: a.model}}\n"
    )
    run = lab.run()
    error = stage_of(run, "b").error
    assert statuses(run) == {"a": "succeeded", "b": "failed"}
    assert error is not None
    assert error.message == "stage 'a' left no 'model', which stage 'b' reads as 'model'."


def test_the_latest_links_point_at_the_newest_success_of_each_stage(diamond: Lab) -> None:
    first = diamond.run()
    diamond.notebook("left", "1 / 0", parameters="x = ''\nout = ''")
    second = diamond.run()
    latest = diamond.project.runs / "latest"
    links = {path.name: os.readlink(path) for path in latest.iterdir()}
    assert links == {
        "first": f"../{second.id}/first",
        "first.ipynb": f"../{second.id}/first.ipynb",
        "left": f"../{first.id}/left",
        "left.ipynb": f"../{first.id}/left.ipynb",
        "right": f"../{second.id}/right",
        "right.ipynb": f"../{second.id}/right.ipynb",
        "join": f"../{first.id}/join",
        "join.ipynb": f"../{first.id}/join.ipynb",
    }
    assert (latest / "left" / "left.txt").read_text() == "data!l"


def test_values_that_were_set_are_part_of_the_run(diamond: Lab) -> None:
    diamond.notebook("join", "write(out, str(n))", parameters="a = ''\nb = ''\nout = ''\nn = 1")
    run = diamond.run(Setting(name="n", value=7, origin="-p"))
    assert run.params == {"first": {}, "left": {}, "right": {}, "join": {"n": 7}}
    assert text_of(diamond, run, "join") == "7"


def other_process(lab: Lab) -> Lab:
    """The same project as another process sees it, with an index connection of its own."""
    other = Lab(lab.root, executor=lab.executor)
    other.yaml = lab.yaml
    return other


def test_what_another_process_makes_meanwhile_is_used_and_not_made_twice(lab: Lab) -> None:
    begun, go = threading.Event(), threading.Event()
    lab.executor = FakeExecutor(begun=begun, go=go)
    lab.notebook("a", f"begun.set()\nassert go.wait({WAIT})\nwrite(out, 'x')", parameters="out = ''")
    lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb, outputs: {out: a.txt}}}")
    other = other_process(lab)
    other.watch = lambda event: go.set() if isinstance(event, StageWaits) else None
    found: list[Run] = []
    one = threading.Thread(target=lambda: found.append(lab.run()))
    one.start()
    assert begun.wait(WAIT)
    waited = other.run()
    one.join()
    other.close()
    assert lab.executor.executed == ["a"]
    assert [event for event in other.events if isinstance(event, StageWaits)] == [StageWaits(stage="a")]
    assert (actions(waited), stage_of(waited, "a").reasons) == (
        {"a": "reuse"},
        (f"run {found[0].id} made it meanwhile",),
    )
    assert text_of(lab, waited, "a") == "x"


def test_when_the_other_process_fails_the_waiting_one_runs_the_stage_itself(lab: Lab) -> None:
    begun, go = threading.Event(), threading.Event()
    lab.executor = FakeExecutor(begun=begun, go=go)
    lab.notebook("a", f"first = not begun.is_set()\nbegun.set()\nassert go.wait({WAIT})\nassert not first")
    lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb}}")
    other = other_process(lab)
    other.watch = lambda event: go.set() if isinstance(event, StageWaits) else None
    found: list[Run] = []
    one = threading.Thread(target=lambda: found.append(lab.run()))
    one.start()
    assert begun.wait(WAIT)
    waited = other.run()
    one.join()
    other.close()
    assert (found[0].status, waited.status, actions(waited)) == ("failed", "succeeded", {"a": "run"})


def test_a_waiting_run_can_be_interrupted(lab: Lab) -> None:
    begun, go = threading.Event(), threading.Event()
    lab.executor = FakeExecutor(begun=begun, go=go)
    lab.notebook("a", f"begun.set()\nassert go.wait({WAIT})")
    lab.pipeline("name: p\nstages: {a: {notebook: notebooks/a.ipynb}}")
    other = other_process(lab)
    other.watch = lambda event: os.kill(os.getpid(), signal.SIGINT) if isinstance(event, StageWaits) else None
    one = threading.Thread(target=lab.run)
    one.start()
    assert begun.wait(WAIT)
    with pytest.raises(KeyboardInterrupt):
        other.run()
    go.set()
    one.join()
    other.close()
    assert sorted(run.status for run in lab.index.runs()) == ["interrupted", "succeeded"]
