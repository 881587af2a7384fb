"""What a notebook calls, without a kernel: lines are printed, and files lie where they should."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import nbprod
from nbprod.errors import ArtifactError, UsageError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose notebooks folder is the working folder, as for a kernel; no stage."""
    root = tmp_path / "project"
    (root / "pipelines").mkdir(parents=True)
    (root / "notebooks").mkdir()
    monkeypatch.chdir(root / "notebooks")
    for name in ("NBPROD_PROJECT", "NBPROD_STAGE", "NBPROD_STAGE_DIR", "NBPROD_TRUSTED"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def stage(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stage that runs in the project."""
    folder = project / "runs" / "20261124-120000-abcd" / "train"
    monkeypatch.setenv("NBPROD_PROJECT", str(project))
    monkeypatch.setenv("NBPROD_STAGE", "train")
    monkeypatch.setenv("NBPROD_STAGE_DIR", str(folder))
    monkeypatch.setenv("NBPROD_TRUSTED", "[]")
    return folder


def fitted() -> LogisticRegression:
    return LogisticRegression().fit(rows(), [0, 1, 0, 1])


def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [0.0, 1.0, 0.1, 0.9], "b": [1.0, 2.0, 3.0, 4.0]})


def in_new_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_nbprod_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import nbprod; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    assert in_new_python(code).split() == ["nbprod"]


def test_importing_the_names_of_a_notebook_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import nbprod.flavors; from nbprod import log_metric, log_model; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    assert in_new_python(code).split() == ["nbprod"]


def test_the_exported_names_are_sorted_and_all_there() -> None:
    assert nbprod.__all__ == sorted(nbprod.__all__)
    assert {getattr(nbprod, name).__name__ for name in nbprod.__all__} == set(nbprod.__all__)
    assert set(nbprod.__all__) <= set(dir(nbprod))


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'log_weather'"):
        getattr(nbprod, "log_weather")  # noqa: B009


def test_outside_ipython_the_line_is_printed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nbprod.log_metric("roc_auc", np.float64(0.931), interval=(0.92, 0.94))
    counts: dict[str, Any] = {"loss": 0.25, "rows": np.int64(4)}
    nbprod.log_metrics(counts, dataset="train")
    epoch: Any = np.int32(2)
    nbprod.log_metric("loss", 0.1, dataset="train", step=epoch)
    assert capsys.readouterr().out.splitlines() == [
        "roc_auc (test) = 0.931 [0.92, 0.94]",
        "loss (train) = 0.25",
        "rows (train) = 4",
        "loss (train) step 2 = 0.1",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "auc", "value": "high"}, "the metric 'auc' must be a number, not str 'high'"),
        ({"name": "auc", "value": True}, "the metric 'auc' must be a number, not bool True"),
        ({"name": "", "value": 1.0}, "'' cannot name a metric"),
        ({"name": "auc", "value": 1.0, "dataset": ""}, "has an empty dataset"),
        ({"name": "auc", "value": 1.0, "dataset": "a/b"}, "may not hold '/'"),
        ({"name": "auc", "value": 1.0, "interval": (1.0,)}, "must be two numbers"),
        ({"name": "auc", "value": 1.0, "interval": (2.0, 1.0)}, r"lower bound first, not \(2, 1\)"),
        ({"name": "auc", "value": 1.0, "interval": ("a", 1.0)}, "a bound of the metric 'auc' must be a number"),
        ({"name": "auc", "value": 1.0, "step": 1.5}, "the step of the metric 'auc' must be a whole number"),
        ({"name": "auc", "value": 1.0, "step": True}, "must be a whole number"),
    ],
)
def test_a_metric_that_is_none_is_refused(call: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nbprod.log_metric(**call)


def test_outside_a_stage_things_go_to_the_scratch_folder_of_the_project(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("roc.png").write_bytes(b"picture")
    nbprod.log_artifact("roc.png")
    assert (project / "runs/scratch/roc.png").read_bytes() == b"picture"
    assert (project / "runs/.gitignore").read_text() == "*\n"
    assert capsys.readouterr().out == "artifact roc.png -> runs/scratch/roc.png\n"


def test_in_a_stage_things_go_to_its_folder_and_the_line_does_not_vary_between_runs(
    stage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("roc.png").write_bytes(b"picture")
    nbprod.log_artifact(Path("roc.png"), name="plots/curve.png")
    assert (stage / "plots/curve.png").read_bytes() == b"picture"
    assert [path.name for path in stage.iterdir()] == ["plots"]
    assert capsys.readouterr().out == "artifact plots/curve.png\n"


def test_logging_a_name_twice_replaces_it_even_a_folder_by_a_file(stage: Path) -> None:
    folder = Path("report")
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    nbprod.log_artifact(folder)
    (folder / "old.txt").unlink()
    (folder / "new.txt").write_text("new")
    nbprod.log_artifact(folder)
    assert [path.name for path in (stage / "report").iterdir()] == ["new.txt"]
    nbprod.log_artifact({"a": 1}, name="report.json")
    nbprod.log_artifact("report/new.txt", name="report")
    assert (stage / "report").read_text() == "new"
    nbprod.log_artifact(folder, name="report")
    assert (stage / "report/new.txt").is_file()
    assert sorted(path.name for path in stage.iterdir()) == ["report", "report.json"]


def test_an_artifact_that_lies_in_the_stages_folder_already_stays_as_it_is(stage: Path) -> None:
    stage.mkdir(parents=True)
    output = stage / "train.parquet"
    output.write_bytes(b"rows")
    before = output.stat().st_ino
    nbprod.log_artifact(output)
    assert output.stat().st_ino == before


def test_a_later_change_of_the_file_does_not_change_the_copy(stage: Path) -> None:
    Path("a.txt").write_text("first")
    nbprod.log_artifact("a.txt")
    Path("a.txt").write_text("second")
    assert (stage / "a.txt").read_text() == "first"


@pytest.mark.parametrize("name", ["../roc.png", "/tmp/roc.png", "a/../../roc.png", ".hidden"])
def test_a_name_that_leaves_the_folder_is_refused(stage: Path, name: str) -> None:
    Path("roc.png").write_bytes(b"picture")
    with pytest.raises(UsageError, match="use a path below the stage's folder"):
        nbprod.log_artifact("roc.png", name=name)


def test_a_link_that_leads_out_of_the_folder_is_refused(stage: Path, tmp_path: Path) -> None:
    stage.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (stage / "plots").symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="a link leads out of the folder"):
        nbprod.log_artifact({"a": 1}, name="plots/a.json")


def test_a_name_below_a_file_is_refused(stage: Path) -> None:
    nbprod.log_artifact({"a": 1}, name="a.json")
    with pytest.raises(UsageError, match="a part of it is a file"):
        nbprod.log_artifact({"a": 1}, name="a.json/b.json")


def test_a_path_with_nothing_behind_it_is_refused(stage: Path) -> None:
    with pytest.raises(UsageError, match=r"roc\.png: there is no such file or folder to keep"):
        nbprod.log_artifact("roc.png")


def test_a_folder_that_holds_the_place_of_copies_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(UsageError, match="it holds the place where copies are kept"):
        nbprod.log_artifact(".")


class Figure:
    """Anything with savefig is a figure."""

    def savefig(self, path: Path) -> None:
        """Write the ending that it was asked for."""
        path.write_text(path.suffix)


class Interactive:
    """What plotly's figures can do."""

    def write_html(self, path: str) -> None:
        """Write a page."""
        Path(path).write_text("page")

    def write_image(self, path: str) -> None:
        """Write a picture."""
        Path(path).write_text("picture")


@pytest.mark.parametrize(
    ("value", "name", "written"),
    [
        (Figure(), "roc.svg", ("roc.svg", ".svg")),
        (Figure(), "roc", ("roc.png", ".png")),
        (Interactive(), "map", ("map.html", "page")),
        (Interactive(), "map.png", ("map.png", "picture")),
        (
            {"a": np.float64(0.5), "b": [np.nan, 1]},
            "report",
            ("report.json", '{\n  "a": 0.5,\n  "b": [\n    "nan",\n    1\n  ]\n}\n'),
        ),
        ([np.array([1, 2])], "list.json", ("list.json", "[\n  [\n    1,\n    2\n  ]\n]\n")),
        (pd.DataFrame({"a": [1, 2]}), "t.csv", ("t.csv", "a\n1\n2\n")),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="sex")), "t.csv", ("t.csv", "sex,a\nx,1\n")),
    ],
)
def test_values_are_written_as_their_type_and_name_ask(
    stage: Path, value: Any, name: str, written: tuple[str, str]
) -> None:
    nbprod.log_artifact(value, name=name)
    assert (stage / written[0]).read_text() == written[1]


def test_a_table_becomes_parquet_where_the_name_says_nothing_else(stage: Path) -> None:
    frame = rows()
    nbprod.log_artifact(frame, name="rows")
    pd.testing.assert_frame_equal(pd.read_parquet(stage / "rows.parquet"), frame)


def test_a_matplotlib_figure_is_kept_as_a_picture(stage: Path) -> None:
    from matplotlib.figure import Figure as Real

    nbprod.log_artifact(Real(), name="roc")
    assert (stage / "roc.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        ({"a": 1}, None, "a dict has no name of its own: give it one, such as name='it.json'"),
        (rows(), "rows.xlsx", r"kept as \.parquet or \.csv, not as \.xlsx"),
        ({"a": object()}, "a.json", "cannot be kept as JSON"),
        (3.5, "a.txt", "a float cannot be kept: give the path of a file or folder, a figure"),
    ],
)
def test_a_value_that_cannot_be_kept_is_refused(stage: Path, value: Any, name: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nbprod.log_artifact(value, name=name)
    assert not [path for path in stage.rglob("*") if path.is_file()]


def test_a_model_is_kept_and_loaded_as_it_was(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fitted()
    nbprod.log_model(model, example=rows())
    nbprod.log_model(model, example=rows())
    assert capsys.readouterr().out.splitlines() == ["model model (sklearn) -> runs/scratch/model"] * 2
    assert [path.name for path in (project / "runs/scratch").iterdir()] == ["model"]
    loaded = nbprod.load_model("../runs/scratch/model")
    assert (loaded.predict_proba(rows()) == model.predict_proba(rows())).all()


def test_a_skops_file_is_loaded(project: Path) -> None:
    import skops.io

    skops.io.dump(fitted(), "model.skops")
    assert isinstance(nbprod.load_model(Path("model.skops")), LogisticRegression)


def test_loading_from_a_path_with_nothing_behind_it_is_refused(project: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: there is no model"):
        nbprod.load_model("nowhere")


def test_loading_a_folder_that_is_no_model_is_an_artifact_error(project: Path) -> None:
    with pytest.raises(ArtifactError, match="it holds no file MLmodel"):
        nbprod.load_model(project)


def test_a_models_name_may_not_hold_a_slash(stage: Path) -> None:
    with pytest.raises(UsageError, match="may not hold '/'"):
        nbprod.log_model(fitted(), example=rows(), name="models/a")


@pytest.fixture
def features(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module beside the notebook, imported as a kernel imports it."""
    text = "from sklearn.linear_model import LogisticRegression\n\n\nclass Ratio(LogisticRegression):\n    pass\n"
    Path("nb_features.py").write_text(text)
    monkeypatch.syspath_prepend(str(project / "notebooks"))
    yield importlib.import_module("nb_features")
    del sys.modules["nb_features"]


def test_outside_a_stage_the_projects_types_are_accepted_and_the_line_says_what_a_pipeline_needs(
    project: Path, features: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    nbprod.log_model(features.Ratio().fit(rows(), [0, 1, 0, 1]), example=rows())
    assert capsys.readouterr().out == (
        "model model (sklearn) -> runs/scratch/model; a pipeline must say `model: {trusted: [nb_features.Ratio]}`\n"
    )
    assert (project / "runs/scratch/model/code/nb_features.py").is_file()
    assert type(nbprod.load_model("../runs/scratch/model")).__name__ == "Ratio"


def test_outside_a_stage_what_a_pipeline_lists_is_trusted(
    project: Path, features: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "pipelines/a.yaml").write_text("model: {name: m, trusted: [nb_features.Ratio]}\n")
    (project / "pipelines/broken.yaml").write_text("model: [\n")
    nbprod.log_model(features.Ratio().fit(rows(), [0, 1, 0, 1]), example=rows())
    assert capsys.readouterr().out == "model model (sklearn) -> runs/scratch/model\n"


def test_in_a_stage_the_projects_types_must_be_listed(
    stage: Path, features: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = features.Ratio().fit(rows(), [0, 1, 0, 1])
    with pytest.raises(UsageError, match=r"write `model: \{trusted: \[nb_features\.Ratio\]\}` in the pipeline's YAML"):
        nbprod.log_model(model, example=rows())
    assert not (stage / "model").exists()
    monkeypatch.setenv("NBPROD_TRUSTED", json.dumps(["nb_features.Ratio"]))
    nbprod.log_model(model, example=rows())
    assert capsys.readouterr().out == "model model (sklearn)\n"
    monkeypatch.setenv("NBPROD_TRUSTED", "[]")
    with pytest.raises(UsageError, match=r"trusted: \[nb_features\.Ratio\]"):
        nbprod.load_model(stage / "model")


def test_in_a_notebook_that_runs_without_a_pipelines_file_the_projects_types_are_accepted(
    stage: Path, features: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBPROD_TRUSTED", "")
    nbprod.log_model(features.Ratio().fit(rows(), [0, 1, 0, 1]), example=rows())
    said = "model model (sklearn); a pipeline must say `model: {trusted: [nb_features.Ratio]}`\n"
    assert capsys.readouterr().out == said
    assert isinstance(nbprod.load_model(stage / "model"), features.Ratio)


def test_a_list_of_types_that_is_no_list_is_refused(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPROD_TRUSTED", "features.Ratio")
    with pytest.raises(UsageError, match="NBPROD_TRUSTED must be a JSON list"):
        nbprod.log_model(fitted(), example=rows())


def test_the_working_folder_stays_where_it_was(project: Path) -> None:
    before = os.getcwd()
    nbprod.log_artifact({"a": 1}, name="a")
    assert os.getcwd() == before
