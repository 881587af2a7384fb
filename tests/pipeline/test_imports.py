"""Following imports through a project."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nbprod.pipeline.imports import Imports, find_imports
from nbprod.pipeline.source import read_source
from tests.pipeline.made import MemoryCache, notebook, written


def found(project: Path, *cells: str, files: dict[str, str] | None = None) -> Imports:
    for name, text in (files or {}).items():
        written(project, text, name)
    path = written(project, notebook(*cells), "notebooks/a.ipynb")
    return find_imports(read_source(path, label="notebooks/a.ipynb"), project, MemoryCache())


def modules(project: Path, *cells: str, files: dict[str, str] | None = None) -> list[str]:
    return list(found(project, *cells, files=files).modules)


@pytest.mark.parametrize(
    "file", ["notebooks/features.py", "features.py", "src/features.py", "src/features/__init__.py"]
)
def test_a_module_is_found_wherever_the_kernel_may_find_it(tmp_path: Path, file: str) -> None:
    assert modules(tmp_path, "import features", files={file: "x = 1"}) == [file]


def test_a_folder_of_the_project_on_pythonpath_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "elsewhere"
    written(outside, "", "other.py")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "p" / "lib"), str(outside)]))
    assert modules(tmp_path / "p", "import features, other", files={"lib/features.py": ""}) == ["lib/features.py"]


def test_imports_are_followed_through_the_projects_modules(tmp_path: Path) -> None:
    files = {"a.py": "import b\nimport numpy", "b.py": "def f():\n    from c import g", "c.py": "import a", "d.py": ""}
    seen = found(tmp_path, "import a", files=files)
    assert list(seen.modules) == ["a.py", "b.py", "c.py"]
    assert seen.outside == {"numpy"}


def test_packages_around_a_module_count(tmp_path: Path) -> None:
    files = {"p/__init__.py": "", "p/q/__init__.py": "", "p/q/r.py": "", "p/other.py": ""}
    assert modules(tmp_path, "import p.q.r", files=files) == ["p/__init__.py", "p/q/__init__.py", "p/q/r.py"]


def test_a_member_may_be_a_module(tmp_path: Path) -> None:
    files = {"p/__init__.py": "", "p/a.py": "", "p/b.py": ""}
    assert modules(tmp_path, "from p import a, c", files=files) == ["p/__init__.py", "p/a.py"]


def test_everything_of_a_package_is_all_its_modules(tmp_path: Path) -> None:
    files = {"p/__init__.py": "__all__ = ['a']", "p/a.py": "", "p/b.py": ""}
    assert modules(tmp_path, "from p import *", files=files) == ["p/__init__.py", "p/a.py", "p/b.py"]


def test_relative_imports_are_followed(tmp_path: Path) -> None:
    files = {
        "p/__init__.py": "from .a import x",
        "p/a.py": "from . import b",
        "p/b.py": "from .q.c import y",
        "p/q/__init__.py": "",
        "p/q/c.py": "from ..d import z",
        "p/d.py": "",
    }
    assert modules(tmp_path, "import p", files=files) == sorted(files)


def test_a_folder_without_init_is_a_package_too(tmp_path: Path) -> None:
    assert modules(tmp_path, "from lib.tools import f", files={"lib/tools.py": ""}) == ["lib/tools.py"]


def test_a_module_named_as_text_is_followed(tmp_path: Path) -> None:
    files = {"p/__init__.py": "", "p/a.py": "", "b.py": ""}
    cell = "import importlib\nimportlib.import_module('.a', package='p')\n__import__('b')"
    assert modules(tmp_path, cell, files=files) == ["b.py", "p/__init__.py", "p/a.py"]


@pytest.mark.parametrize(
    "cell", ["%run tools/go.py", "%run tools/go", "!python tools/go.py", "%%bash\npython tools/go.py"]
)
def test_a_script_that_is_run_is_followed_with_what_lies_beside_it(tmp_path: Path, cell: str) -> None:
    files = {"notebooks/tools/go.py": "import beside", "notebooks/tools/beside.py": ""}
    assert modules(tmp_path, cell, files=files) == ["notebooks/tools/beside.py", "notebooks/tools/go.py"]


def test_a_notebook_that_is_run_is_followed(tmp_path: Path) -> None:
    import json

    files = {"notebooks/b.ipynb": json.dumps(notebook("import c  # why")), "notebooks/c.py": ""}
    first = found(tmp_path, "%run b.ipynb", files=files).modules
    assert list(first) == ["notebooks/b.ipynb", "notebooks/c.py"]
    files["notebooks/b.ipynb"] = json.dumps(notebook("import c"))
    assert found(tmp_path, "%run b.ipynb", files=files).modules == first


def test_a_broken_notebook_that_is_run_counts_byte_by_byte(tmp_path: Path) -> None:
    one = found(tmp_path, "%run b.ipynb", files={"notebooks/b.ipynb": "{"}).modules
    other = found(tmp_path, "%run b.ipynb", files={"notebooks/b.ipynb": "{ "}).modules
    assert list(one) == list(other) == ["notebooks/b.ipynb"]
    assert one != other


@pytest.mark.parametrize(
    "cell",
    [
        "import sys\nsys.path.append('../lib')\nimport features",
        "import features\nimport sys; sys.path.insert(0, os.path.join('..', 'lib'))",
        "%cd ../lib\nimport features",
        "import os; os.chdir(Path('..') / 'lib')\nimport features",
    ],
)
def test_folders_that_the_code_adds_to_the_path_are_searched(tmp_path: Path, cell: str) -> None:
    assert modules(tmp_path, cell, files={"lib/features.py": ""}) == ["lib/features.py"]


def test_an_extension_module_counts_byte_by_byte(tmp_path: Path) -> None:
    from importlib.machinery import EXTENSION_SUFFIXES

    name = f"fast{EXTENSION_SUFFIXES[0]}"
    assert modules(tmp_path, "import fast", files={name: "binary"}) == [name]


def test_a_file_that_the_notebook_writes_itself_does_not_count(tmp_path: Path) -> None:
    cells = ("%%writefile made.py\nx = 1", "import made")
    before = found(tmp_path, *cells)
    after = found(tmp_path, *cells, files={"notebooks/made.py": "x = 1"})
    assert before == after
    assert before.outside == {"made"}


@pytest.mark.parametrize(
    "file",
    [
        ".venv/lib/python3.11/site-packages/features.py",
        "env/lib/features.py",
        "lib/site-packages/features.py",
        "runs/latest/a/features.py",
        ".nbprod/features.py",
    ],
)
def test_other_peoples_code_in_the_project_is_not_followed(tmp_path: Path, file: str) -> None:
    written(tmp_path, "home = /usr", "env/pyvenv.cfg")
    seen = found(tmp_path, f"import sys\nsys.path.append('../{Path(file).parent}')\nimport features", files={file: ""})
    assert seen.modules == {}
    assert "features" in seen.outside


def test_nothing_outside_the_project_is_followed(tmp_path: Path) -> None:
    written(tmp_path, "", "features.py")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "linked.py").symlink_to(tmp_path / "features.py")
    cell = "import sys\nsys.path.append('../..')\nimport features, linked"
    assert modules(tmp_path / "p", cell) == []


def test_a_project_under_a_linked_folder_is_the_same_project(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert modules(tmp_path / "link", "import features", files={"features.py": ""}) == ["features.py"]


def test_names_from_elsewhere_are_told(tmp_path: Path) -> None:
    seen = found(tmp_path, "import numpy.linalg\nfrom sklearn.svm import SVC\n%load_ext autoreload\nimport json")
    assert seen.outside == {"numpy", "sklearn", "autoreload", "json"}


def test_a_name_that_the_project_has_may_be_installed_as_well(tmp_path: Path) -> None:
    seen = found(tmp_path, "import mylib, numpy", files={"mylib/__init__.py": ""})
    assert (set(seen.outside), set(seen.shared)) == ({"numpy"}, {"mylib"})


def test_a_folder_that_happens_to_have_a_packages_name_hides_nothing(tmp_path: Path) -> None:
    seen = found(tmp_path, "import mlflow", files={"mlflow/notes.txt": "", "notebooks/mlflow/x.csv": ""})
    assert (set(seen.outside), set(seen.shared), seen.modules) == ({"mlflow"}, set(), {})


def test_comments_in_a_module_do_not_count_and_its_code_does(tmp_path: Path) -> None:
    def digest(text: str) -> dict[str, str]:
        return found(tmp_path, "import features", files={"features.py": text}).modules

    assert digest("x = 1") == digest("# one\n\nx = 1  # two\n")
    assert digest("x = 1") != digest("x = 2")
    assert digest("x = (") != digest("x = (\n")


def test_nothing_is_imported(tmp_path: Path) -> None:
    files = {"never_imported.py": "raise SystemExit('imported')"}
    assert modules(tmp_path, "import never_imported", files=files) == ["never_imported.py"]
    assert "never_imported" not in sys.modules
