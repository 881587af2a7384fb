"""The index: what it answers, and that it may be lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.entities import Artifact, Metric, ModelVersion, Run, StageRun
from nbprod.evidence.entry import build, digest
from nbprod.index import RUN_SCHEMA, Index
from tests.evidence.made import evidence

REGISTRY = "sqlite:///mlflow.db"


@pytest.fixture
def open_index(tmp_path: Path) -> Iterator[Callable[[], Index]]:
    """Opens the index of one project; whatever was opened is closed at the end."""
    opened: list[Index] = []
    (tmp_path / "runs").mkdir()

    def opens() -> Index:
        opened.append(Index(tmp_path / "index.db", tmp_path / "runs"))
        return opened[-1]

    yield opens
    for index in opened:
        index.close()


@pytest.fixture
def index(open_index: Callable[[], Index]) -> Index:
    return open_index()


def finished(stage: str, key: str, *, run: str = "r1", ended: str = "2026-01-01T00:00:00+00:00") -> StageRun:
    metrics = (Metric(name="auc", value=0.5),)
    return StageRun(
        stage=stage, pipeline="p", run=run, status="succeeded", key=key, ended=ended, metrics=metrics, pending=0
    )


def run_of(run_id: str, *stages: StageRun, started: str = "2026-01-01T00:00:00+00:00") -> Run:
    return Run(id=run_id, pipeline="p", status="succeeded", started=started, stages=stages)


def written(tmp_path: Path, run: Run) -> None:
    """Write a run's file as the runner does."""
    folder = tmp_path / "runs" / run.id
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"schema": RUN_SCHEMA, **run.to_dict()}))


def test_a_run_and_its_finished_stages_are_found_again(index: Index) -> None:
    run = run_of("r1", finished("a", "k1"))
    index.save_run(run)
    assert index.run("r1") == run
    assert index.result("k1") == run.stages[0]


def test_what_was_never_saved_is_not_found(index: Index) -> None:
    assert (index.run("r1"), index.result("k1"), index.last_result("p", "a"), index.runs()) == (None, None, None, [])


@pytest.mark.parametrize("status", ["running", "failed", "interrupted", "skipped"])
def test_a_stage_that_did_not_succeed_is_no_result(index: Index, status: str) -> None:
    stage = StageRun.from_dict({**finished("a", "k1").to_dict(), "status": status})
    index.save_run(run_of("r1", stage))
    assert index.result("k1") is None


def test_a_reused_stage_does_not_take_the_place_of_the_one_that_ran(index: Index) -> None:
    index.save_run(run_of("r1", finished("a", "k1")))
    reused = StageRun.from_dict({**finished("a", "k1").to_dict(), "action": "reuse", "reasons": ["same key as run r1"]})
    index.save_run(run_of("r2", reused))
    assert index.result("k1") == finished("a", "k1")


def test_runs_are_listed_newest_first(index: Index) -> None:
    for number in (2, 3, 1):
        index.save_run(run_of(f"r{number}", started=f"2026-01-0{number}T00:00:00+00:00"))
    assert [run.id for run in index.runs()] == ["r3", "r2", "r1"]
    assert [run.id for run in index.runs(2)] == ["r3", "r2"]


def test_a_run_is_saved_again_as_it_goes_on(index: Index) -> None:
    index.save_run(run_of("r1"))
    index.save_run(run_of("r1", finished("a", "k1")))
    assert [len(run.stages) for run in index.runs()] == [1]


def test_the_last_result_of_a_stage_is_the_newest_whatever_its_key(index: Index) -> None:
    for key, day in (("k1", 1), ("k3", 3), ("k2", 2)):
        index.save_result(finished("a", key, ended=f"2026-01-0{day}T00:00:00+00:00"))
    index.save_result(finished("b", "k4", ended="2026-01-09T00:00:00+00:00"))
    last = index.last_result("p", "a")
    assert last is not None
    assert last.key == "k3"
    assert index.last_result("other", "a") is None


def test_a_result_can_be_forgotten(index: Index) -> None:
    index.save_result(finished("a", "k1"))
    index.forget("k1")
    assert index.result("k1") is None


def test_digests_are_remembered_for_exactly_one_state_of_a_file(index: Index) -> None:
    index.remember((1, 2, 3, 4, 5), "digest")
    assert index.recall((1, 2, 3, 4, 5)) == "digest"
    for other in ((9, 2, 3, 4, 5), (1, 9, 3, 4, 5), (1, 2, 9, 4, 5), (1, 2, 3, 9, 5), (1, 2, 3, 4, 9)):
        assert index.recall(other) is None


def test_the_newer_state_of_a_file_takes_the_place_of_the_older(index: Index) -> None:
    index.remember((1, 2, 3, 4, 5), "old")
    index.remember((1, 2, 3, 6, 7), "new")
    assert (index.recall((1, 2, 3, 4, 5)), index.recall((1, 2, 3, 6, 7))) == (None, "new")


def test_texts_are_remembered_by_name(index: Index) -> None:
    index.remember("url x", "one")
    index.remember("url x", "two")
    assert (index.recall("url x"), index.recall("url y")) == ("two", None)


def version(number: str, *, keys: str = "", name: str = "churn") -> ModelVersion:
    return ModelVersion(name=name, version=number, keys=keys, entry={"name": name}, aliases=())


def test_versions_are_listed_newest_first_within_a_name(index: Index) -> None:
    for found in (version("2"), version("10"), version("1"), version("1", name="age")):
        index.save_version(REGISTRY, found)
    assert [found.ref for found in index.versions(REGISTRY)] == ["age/1", "churn/10", "churn/2", "churn/1"]
    assert [found.ref for found in index.versions(REGISTRY, "age")] == ["age/1"]


def test_versions_of_another_registry_are_not_seen(index: Index) -> None:
    index.save_version("https://elsewhere", version("1", keys="k"))
    assert index.versions(REGISTRY) == []
    assert index.version_of_keys(REGISTRY, "churn", "k") is None


def test_the_newest_version_of_the_same_keys_is_found(index: Index) -> None:
    for found in (
        version("1", keys="k"),
        version("2", keys="k"),
        version("3", keys="other"),
        version("4", keys="k", name="x"),
    ):
        index.save_version(REGISTRY, found)
    assert index.version_of_keys(REGISTRY, "churn", "k") == version("2", keys="k")
    assert index.version_of_keys(REGISTRY, "churn", "none") is None


def test_a_batch_that_fails_keeps_nothing(index: Index) -> None:
    with pytest.raises(KeyError), index.batch():
        index.remember("name", "text")
        raise KeyError
    assert index.recall("name") is None


def test_a_batch_that_ends_keeps_all(index: Index, open_index: Callable[[], Index]) -> None:
    with index.batch():
        index.remember("name", "text")
        assert open_index().recall("name") is None, "others do not see half of it"
    assert open_index().recall("name") == "text"


@pytest.mark.parametrize("damage", [b"this is no database at all", b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_damaged_file_is_put_aside_and_rebuilt_from_the_runs(
    open_index: Callable[[], Index], tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / "index.db").write_bytes(damage)
    run = run_of("r1", finished("a", "k1"))
    written(tmp_path, run)
    index = open_index()
    assert (index.run("r1"), index.result("k1")) == (run, run.stages[0])
    assert (tmp_path / "index.db.damaged").read_bytes() == damage


def test_a_lost_file_is_rebuilt_from_the_runs(open_index: Callable[[], Index], tmp_path: Path) -> None:
    runs = [run_of(f"r{number}", finished("a", f"k{number}")) for number in (1, 2)]
    for run in runs:
        written(tmp_path, run)
    index = open_index()
    assert sorted(run.id for run in index.runs()) == ["r1", "r2"]
    assert index.result("k2") == runs[1].stages[0]


@pytest.mark.parametrize(
    "text", ["{", "[]", '"text"', "{}", '{"id": "x"}', '{"id": 1, "pipeline": "p", "stages": [7]}']
)
def test_a_run_that_cannot_be_read_is_passed_over_when_rebuilding(
    open_index: Callable[[], Index], tmp_path: Path, text: str
) -> None:
    (tmp_path / "runs" / "r0").mkdir()
    (tmp_path / "runs" / "r0" / "run.json").write_text(text)
    written(tmp_path, run_of("r1", finished("a", "k1")))
    assert [run.id for run in open_index().runs()] == ["r1"]


def test_links_to_the_latest_run_are_not_runs(open_index: Callable[[], Index], tmp_path: Path) -> None:
    written(tmp_path, run_of("r1"))
    (tmp_path / "runs" / "latest").mkdir()
    (tmp_path / "runs" / "latest" / "a").symlink_to(tmp_path / "runs" / "r1")
    assert [run.id for run in open_index().runs()] == ["r1"]


def test_an_index_of_another_version_is_put_aside_and_rebuilt(open_index: Callable[[], Index], tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "index.db")
    other.executescript("create table runs (something text); pragma user_version=99;")
    other.close()
    written(tmp_path, run_of("r1", finished("a", "k1")))
    assert open_index().result("k1") == finished("a", "k1")
    assert (tmp_path / "index.db.damaged").exists()


def test_an_index_that_is_in_use_is_never_put_aside(open_index: Callable[[], Index], tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "index.db", isolation_level=None, check_same_thread=False)
    holder.execute("begin exclusive")
    releaser = threading.Timer(0.5, lambda: holder.execute("commit"))
    releaser.start()
    open_index().remember("name", "text")
    releaser.join()
    holder.close()
    assert not (tmp_path / "index.db.damaged").exists()


def test_an_index_that_another_process_is_making_is_waited_for(open_index: Callable[[], Index], tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "index.db", isolation_level=None, check_same_thread=False)
    holder.execute("begin immediate")  # it may be read, so only turning to WAL finds it in use
    releaser = threading.Timer(0.5, lambda: holder.execute("commit"))
    releaser.start()
    index = open_index()
    index.remember("name", "text")
    releaser.join()
    holder.close()
    assert index.recall("name") == "text"
    assert not (tmp_path / "index.db.damaged").exists()


def test_an_index_that_stays_in_use_is_an_error_and_is_not_put_aside(
    open_index: Callable[[], Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    holder = connect(tmp_path / "index.db", isolation_level=None)
    holder.execute("begin exclusive")
    monkeypatch.setattr(
        "nbprod.index.sqlite3.connect", lambda path, **options: connect(path, **{**options, "timeout": 0})
    )
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        open_index()
    holder.close()
    assert not (tmp_path / "index.db.damaged").exists()


WRITER = """
import sys
from pathlib import Path
from nbprod.entities import StageRun
from nbprod.index import Index

folder, name = Path(sys.argv[1]), sys.argv[2]
index = Index(folder / "index.db", folder / "runs")
for number in range(25):
    index.save_result(StageRun(stage=name, pipeline="p", key=f"{name}-{number}", status="succeeded"))
    index.remember(f"{name}-{number}", "text")
index.close()
"""


def test_several_processes_may_open_and_write_a_new_index_at_once(
    open_index: Callable[[], Index], tmp_path: Path
) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stderr=subprocess.PIPE, text=True)
        for name in ("a", "b", "c")
    ]
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    index = open_index()
    keys = [f"{name}-{number}" for name in ("a", "b", "c") for number in range(25)]
    assert [key for key in keys if index.result(key) is None or index.recall(key) is None] == []
    assert not (tmp_path / "index.db.damaged").exists()


def test_threads_may_share_an_index(index: Index) -> None:
    def write(name: str) -> None:
        for number in range(25):
            with index.batch():
                index.save_result(finished(name, f"{name}-{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(index.result(f"{name}-{number}") for name in ("a", "b", "c") for number in range(25))


def test_executions_of_stages_are_told_once_and_only_if_they_were_begun(index: Index) -> None:
    read = Artifact(name="raw", uri="raw.csv", sha256="1" * 64, size=3, role="input")
    ran = replace(finished("a", "k1"), inputs={"raw": read}, notebook="a.ipynb", started="2026-01-01T00:00:00+00:00")
    index.save_run(run_of("r1", ran))
    again = run_of("r2", replace(ran, action="reuse"), StageRun(stage="b", status="failed"), started="2026-01-02")
    index.save_run(replace(again, stages=(*again.stages, StageRun(stage="c", status="skipped"))))
    found = index.stage_runs()
    assert [(stage.run, stage.stage, stage.status) for stage in found] == [
        ("r1", "a", "succeeded"), ("r2", "b", "failed"),
    ]  # fmt: skip
    assert (found[0].inputs, found[0].notebook, found[0].metrics) == ({"raw": read}, "a.ipynb", ())


def test_the_outline_of_a_version_is_the_part_of_its_entry_that_lineage_needs(index: Index) -> None:
    entry = build(evidence(parent={"relation": "retrain", "digest": "7" * 64}))
    for number in ("2", "10"):
        made = ModelVersion(name="churn", version=number, digest=digest(entry), entry=entry, run="r1", created="t")
        index.save_version(REGISTRY, made)
    index.save_version("sqlite:///other.db", made)
    newest, older = index.outlines(REGISTRY)
    assert (newest.version, older.version, newest.digest) == ("10", "2", digest(entry))
    assert (newest.run, newest.created) == ("r1", "t")
    assert newest.entry == {
        **{key: entry[key] for key in ("run", "inputs", "parent")},
        "pipeline": {"name": "churn"},
        "model": {key: entry["model"][key] for key in ("stage", "sha256", "bytes")},
        "metrics": [{"stage": "train"}],
    }
