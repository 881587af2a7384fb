"""Files in partitions: what is counted apart is what is counted together, and what is wrong is told as ever."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from nbprod.config import Project, Settings
from nbprod.errors import ArtifactError, RunError, UsageError
from nbprod.lifecycle import cluster, partitions
from nbprod.lifecycle.observed import Model, Observation
from nbprod.lifecycle.partitions import files_of, from_files, on_dask
from nbprod.lifecycle.workspace import Workspace, open_workspace
from nbprod.monitoring.facts import Window
from nbprod.monitoring.windows import seen
from tests.fakes import Lab
from tests.lifecycle.test_monitor import version
from tests.monitoring.made import NOW, plan, rows


def apart(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Apply a function as other processes do: to copies, of which copies come back."""
    return [pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item))))) for item in items]


@pytest.fixture
def work(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project, in whose folder tests write files; a file of 1,000 rows is cut into four."""
    monkeypatch.chdir(lab.root)
    monkeypatch.setattr(partitions, "ROWS", 300)
    with open_workspace(lab.root) as opened:
        yield opened


def counted(work: Workspace, files: list[str], *, run: Any, labels: list[str] | None = None) -> tuple[Any, list[str]]:
    problems = list[str]()
    with ExitStack() as stack:
        model = Model(work=work, version=version(), stack=stack, problems=problems)
        observation = Observation(files=files_of(files), labels=files_of(labels or []), target="truth")
        found = from_files(plan(), model, observation, now=NOW, run=run)
        return [seen(window, plan()) for window in found], problems


def write(table: pa.Table, name: str, *, group: int = 150) -> str:
    pq.write_table(table, name, row_group_size=group)
    return name


def test_what_is_counted_in_partitions_is_what_is_counted_in_one_place(work: Workspace) -> None:
    files = [write(rows(1000, seed=1), "a.parquet"), write(rows(900, seed=2, shift=0.4), "b.parquet")]
    pa.csv.write_csv(rows(50, seed=3), "c.csv")
    windows, problems = counted(work, [*files, "c.csv"], run=map)
    assert [window.rows for window in windows] == [1000, 900, 50]
    assert windows[1].drift["income"].drifted
    assert counted(work, [*files, "c.csv"], run=apart) == (windows, problems)


def test_rows_that_are_drawn_are_the_same_ones_however_a_file_is_cut(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "ASKED_EACH", 200)
    write(rows(1000, seed=1).drop_columns(["prediction", "score"]), "a.parquet")

    def drawn(run: Any) -> pa.Table:
        with ExitStack() as stack:
            model = Model(work=work, version=version(), stack=stack, problems=[])
            monkeypatch.setattr(model.__class__, "finish", lambda *_, **__: None)
            (window,) = from_files(plan(), model, Observation(files=(Path("a.parquet"),)), now=NOW, run=run)
            return window.every.table()

    one = drawn(map)
    assert one.num_rows == 200
    assert drawn(apart).equals(one)


def test_labels_fit_rows_of_any_partition(work: Workspace) -> None:
    table = rows(1000, seed=4)
    bare = table.drop_columns(["truth"]).append_column("request", pa.array([f"r{i}" for i in range(1000)]))
    known = pa.table({"request": [f"r{i}" for i in range(999, -1, -1)], "truth": table["truth"].to_pylist()[::-1]})
    extra = pa.table({"request": ["r5", "nobody"], "truth": [1, 1]})
    write(bare, "a.parquet")
    pa.csv.write_csv(pa.concat_tables([known, extra]), "by.csv")
    expected = counted(work, ["a.parquet"], run=map, labels=["by.csv"])
    assert expected[0][0].labelled == 1000
    assert expected[1] == [
        "1 labels name a request that others name too; the first of each is used.",
        "1 labels belong to no row of a.parquet.",
    ]
    assert counted(work, ["a.parquet"], run=apart, labels=["by.csv"]) == expected
    pa.csv.write_csv(table.select(["truth"]), "order.csv")
    in_order, _ = counted(work, ["a.parquet"], run=apart, labels=["order.csv"])
    assert in_order[0].metrics == expected[0][0].metrics


def test_more_labels_than_rows_are_told_and_fewer_refused(work: Workspace) -> None:
    table = rows(200, seed=4)
    write(table.drop_columns(["truth"]), "a.parquet")
    pa.csv.write_csv(pa.concat_tables([table, table]).select(["truth"]), "many.csv")
    windows, problems = counted(work, ["a.parquet"], run=map, labels=["many.csv"])
    assert windows[0].labelled == 200
    assert problems == ["200 labels belong to no row of a.parquet."]
    pa.csv.write_csv(table.select(["truth"])[:5], "few.csv")
    for run in (map, apart):
        with pytest.raises(ArtifactError, match=r"more rows than there are labels \(5\)"):
            counted(work, ["a.parquet"], run=run, labels=["few.csv"])


def test_files_that_cannot_be_read_are_told_by_their_name(work: Workspace) -> None:
    Path("bad.parquet").write_bytes(b"no")
    for run in (map, apart):
        with pytest.raises(ArtifactError, match="cannot be read as a table") as caught:
            counted(work, ["bad.parquet"], run=run)
        assert (caught.value.file or "").endswith("bad.parquet")


def test_a_folder_stands_for_its_tables_and_must_hold_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UsageError, match=r"holds no table: no file in it ends in \.parquet"):
        files_of([str(tmp_path)])
    for name in ("b.csv", "a.parquet"):
        (tmp_path / name).write_text("")
    assert [path.name for path in files_of([str(tmp_path)])] == ["a.parquet", "b.csv"]


def window_of(project: Project) -> Window | None:
    with on_dask(project) as run:
        return next(iter(run(len, ["abc"])), None)


def test_a_scheduler_must_be_set_and_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"set `dask_scheduler` in \[tool.nbprod\], or NBPROD_DASK_SCHEDULER"):
        window_of(Project(root=tmp_path, settings=Settings()))
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    with pytest.raises(RunError, match=r"the Dask scheduler at tcp://127\.0\.0\.1:9 does not answer \(\w+\): start it"):
        window_of(Project(root=tmp_path, settings=Settings(dask_scheduler="tcp://127.0.0.1:9")))
    with pytest.raises(UsageError, match="is no address of a Dask scheduler"):
        window_of(Project(root=tmp_path, settings=Settings(dask_scheduler="nonsense://x")))
