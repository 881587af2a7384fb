"""Where a project begins, and what is set for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nbprod.config import Settings, find_root, load_project
from nbprod.errors import UsageError


def pyproject(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_project(folder)
    return str(caught.value)


@pytest.mark.parametrize("sign", [".nbprod", "pipelines", ".git"])
def test_the_root_is_the_nearest_folder_above_with_a_sign(tmp_path: Path, sign: str) -> None:
    (tmp_path / "project" / sign).mkdir(parents=True)
    deep = tmp_path / "project" / "notebooks" / "deep"
    deep.mkdir(parents=True)
    assert find_root(deep) == tmp_path / "project"


def test_the_root_is_where_pyproject_says_so(tmp_path: Path) -> None:
    pyproject(tmp_path / "project", "[tool.nbprod]\n")
    deep = pyproject(tmp_path / "project" / "package", "[tool.other]\n")
    assert find_root(deep) == tmp_path / "project"


def test_the_root_of_a_notebook_is_that_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "a.ipynb").touch()
    assert find_root(tmp_path / "a.ipynb") == tmp_path


def test_without_any_sign_the_root_is_where_one_started(tmp_path: Path) -> None:
    folder = tmp_path / "loose"
    folder.mkdir()
    assert find_root(folder) == folder


def test_a_home_folder_is_no_project_of_what_lies_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "loose"
    folder.mkdir()
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert find_root(folder) == folder


def test_without_settings_there_are_the_defaults(tmp_path: Path) -> None:
    assert load_project(tmp_path).settings == Settings()


def test_settings_are_read_from_pyproject_and_overlaid_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyproject(tmp_path, '[tool.nbprod]\njobs = 4\nkernel = "ir"\ntimeout = 60\nstrict = true\n')
    monkeypatch.setenv("NBPROD_JOBS", "8")
    monkeypatch.setenv("NBPROD_STRICT", "false")
    settings = load_project(tmp_path).settings
    assert (settings.jobs, settings.kernel, settings.timeout, settings.strict) == (8, "ir", 60.0, False)
    assert isinstance(settings.timeout, float)


def test_every_setting_can_be_set_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in dataclasses.fields(Settings):
        monkeypatch.setenv(f"NBPROD_{field.name.upper()}", "1")
    settings = load_project(tmp_path).settings
    assert dataclasses.asdict(settings) == {
        "registry": "1", "store": "1", "keep_max": 1, "jobs": 1, "kernel": "1", "timeout": 1.0, "strict": True,
        "licenses": ("1",), "predictions": "1", "dask_scheduler": "1",
    }  # fmt: skip


def test_there_are_at_most_ten_settings() -> None:
    assert len(dataclasses.fields(Settings)) <= 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("job = 4", "pyproject.toml: there is no setting 'job' in [tool.nbprod]. Did you mean 'jobs'?"),
        ('jobs = "many"', "pyproject.toml: jobs must be of type int, not 'many'."),
        ("jobs = 1.5", "pyproject.toml: jobs must be of type int, not 1.5."),
        ("jobs = true", "pyproject.toml: jobs must be of type int, not True."),
        ("jobs = 0", "pyproject.toml: jobs must be at least 1, not 0."),
        ("timeout = -1", "pyproject.toml: timeout must be at least 0, not -1.0."),
        ("timeout = nan", "pyproject.toml: timeout must be at least 0, not nan."),
        ("keep_max = -1", "pyproject.toml: keep_max must be at least 0, not -1."),
        ("kernel = 3", "pyproject.toml: kernel must be of type str, not 3."),
        ('strict = "maybe"', "pyproject.toml: strict must be of type bool, not 'maybe'."),
    ],
)
def test_a_setting_that_is_unknown_or_wrong_is_refused(tmp_path: Path, line: str, said: str) -> None:
    assert refusal(pyproject(tmp_path, f"[tool.nbprod]\n{line}\n")) == said


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPROD_JOBS", "many")
    assert refusal(tmp_path) == "NBPROD_JOBS: jobs must be of type int, not 'many'."


def test_a_pyproject_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    said = refusal(pyproject(tmp_path, "[tool.nbprod]\njobs =\n"))
    assert said == f"{tmp_path / 'pyproject.toml'}: is not valid TOML: Invalid value (at line 2, column 7)."


def test_the_registry_is_a_database_in_the_project_unless_something_else_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_project(tmp_path).registry_uri() == f"sqlite:///{tmp_path}/.nbprod/mlflow.db"
    monkeypatch.setenv("NBPROD_REGISTRY", "sqlite:////srv/mlflow.db")
    assert load_project(tmp_path).registry_uri() == "sqlite:////srv/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////srv/other.db")
    assert load_project(tmp_path).registry_uri() == "sqlite:////srv/other.db"


def test_a_path_is_named_from_the_root_or_whole(tmp_path: Path) -> None:
    project = load_project(tmp_path)
    assert project.relative(tmp_path / "notebooks" / "a.ipynb") == "notebooks/a.ipynb"
    assert project.relative(Path("/elsewhere/a.ipynb")) == "/elsewhere/a.ipynb"


def test_the_projects_own_folders_ignore_themselves_in_git_unless_somebody_said_otherwise(tmp_path: Path) -> None:
    project = load_project(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / ".gitignore").write_text("!keep\n")
    project.prepare_folders()
    assert (project.data / ".gitignore").read_text() == "*\n"
    assert (project.runs / ".gitignore").read_text() == "!keep\n"
