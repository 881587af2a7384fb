"""Keys: what counts, what does not, and how a difference is told."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.entities import Stage
from nbprod.pipeline import fingerprint
from nbprod.pipeline.environment import KernelEnvironment
from nbprod.pipeline.source import read_source
from tests.pipeline.made import MemoryCache, code, markdown, notebook, written

STAGE = Stage(name="train", notebook="a.ipynb", outputs={"out": "out.parquet"})


def environment(**changes: Any) -> KernelEnvironment:
    found = KernelEnvironment(kernel="python3", python="python", minor="3.11", cache=MemoryCache())
    return replace(found, **changes)


def parts(
    project: Path,
    *cells: Any,
    stage: Stage = STAGE,
    kernel: KernelEnvironment | None = None,
    params: dict[str, Any] | None = None,
    inputs: dict[str, str] | None = None,
) -> dict[str, Any]:
    content = notebook(*(cells or (code("n = 1", "parameters"), "x = n")))
    return fingerprint.parts(
        source=read_source(written(project, content), label="a.ipynb"),
        stage=stage,
        params=params or {},
        inputs=inputs or {},
        project=project,
        environment=kernel or environment(),
    )


def key(*args: Any, **options: Any) -> str:
    return fingerprint.key(parts(*args, **options))


def test_a_key_is_a_sha256_and_always_the_same(tmp_path: Path) -> None:
    assert len(key(tmp_path)) == 64
    assert key(tmp_path) == key(tmp_path)


def test_what_does_not_decide_the_result_does_not_change_the_key(tmp_path: Path) -> None:
    plain = key(tmp_path, code("n = 1", "parameters"), "x = n")
    noisy = notebook(
        markdown("# A title"),
        {**code("# trees\nn = 1  # how many", "parameters", "hide-input"), "id": "abc"},
        code("\n\nx  =  n  # the number\n", outputs=[{"output_type": "stream"}], execution_count=7),
        code("# nothing to run"),
        code(""),
        {"cell_type": "raw", "source": "raw", "metadata": {}},
    )
    noisy["metadata"] |= {"title": "t", "authors": ["me"], "widgets": {}}
    source = read_source(written(tmp_path, noisy, "b.ipynb"), label="b.ipynb")
    found = fingerprint.parts(
        source=source, stage=STAGE, params={}, inputs={}, project=tmp_path, environment=environment()
    )
    assert fingerprint.key(found) == plain


@pytest.mark.parametrize(
    "change",
    [
        {"stage": replace(STAGE, outputs={"out": "other.parquet"})},
        {"params": {"n": 2}},
        {"inputs": {"train": "0" * 64}},
        {"kernel": environment(kernel="other")},
        {"kernel": environment(minor="3.12")},
    ],
)
def test_whatever_decides_the_result_changes_the_key(tmp_path: Path, change: dict[str, Any]) -> None:
    assert key(tmp_path, **change) != key(tmp_path)


def test_code_order_parameters_and_their_place_change_the_key(tmp_path: Path) -> None:
    parameters = code("n = 1", "parameters")
    keys = [
        key(tmp_path, parameters, "a", "b"),
        key(tmp_path, parameters, "b", "a"),
        key(tmp_path, parameters, "a\nb"),
        key(tmp_path, "a", parameters, "b"),
        key(tmp_path, "n = 1", "a", "b"),
        key(tmp_path, code("n = 2", "parameters"), "a", "b"),
        key(tmp_path, parameters, "a", code("b", "raises-exception")),
        key(tmp_path, parameters, "a", code("b", "skip-execution")),
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "change", [{"timeout": 5.0}, {"env": ("DSN",)}, {"retries": 2}, {"refresh": "1d"}, {"line": 9}]
)
def test_how_a_stage_is_run_does_not_change_the_key(tmp_path: Path, change: dict[str, Any]) -> None:
    assert key(tmp_path, stage=replace(STAGE, **change)) == key(tmp_path)


def test_the_projects_modules_count(tmp_path: Path) -> None:
    cells = ["import features"]
    written(tmp_path, "import more", "features.py")
    written(tmp_path, "x = 1", "more.py")
    before = parts(tmp_path, *cells)
    written(tmp_path, "# a comment\nx = 1", "more.py")
    assert fingerprint.key(parts(tmp_path, *cells)) == fingerprint.key(before)
    written(tmp_path, "x = 2", "more.py")
    assert fingerprint.differences(before, parts(tmp_path, *cells)) == ("module more.py",)


def installed(site: Path, **versions: str) -> KernelEnvironment:
    for name, version in versions.items():
        written(site, f"Name: {name}\nVersion: {version}\n", f"{name}-{version}.dist-info/METADATA")
    return environment(folders=(str(site),))


def test_only_distributions_that_are_imported_count(tmp_path: Path) -> None:
    before = parts(tmp_path, "import lib", kernel=installed(tmp_path / "1", lib="1"))
    other = parts(tmp_path, "import lib", kernel=installed(tmp_path / "2", lib="1", formatter="1"))
    newer = parts(tmp_path, "import lib", kernel=installed(tmp_path / "3", lib="2", formatter="1"))
    assert fingerprint.key(before) == fingerprint.key(other)
    assert fingerprint.differences(before, newer) == ("lib 1 -> 2",)


def test_with_a_full_environment_everything_installed_counts(tmp_path: Path) -> None:
    stage = replace(STAGE, environment="full")
    before = parts(tmp_path, "x", stage=stage, kernel=installed(tmp_path / "1", lib="1"))
    after = parts(tmp_path, "x", stage=stage, kernel=installed(tmp_path / "2", lib="1", formatter="3"))
    assert fingerprint.differences(before, after) == ("formatter 3 is new",)


def test_a_module_of_the_project_that_is_installed_as_well_counts_twice(tmp_path: Path) -> None:
    written(tmp_path, "", "lib/__init__.py")
    found = parts(tmp_path, "import lib", kernel=installed(tmp_path / "site", lib="1"))
    assert (list(found["modules"]), found["distributions"]) == (["lib/__init__.py"], {"lib": "1"})


@pytest.mark.parametrize(
    "values",
    [
        (200, 200.0), (1, True), (0, False), (0.0, -0.0), (1, "1"), (None, "null"), (math.nan, "nan"), (math.inf,
        "inf"),
        (math.inf, -math.inf), (math.nan, {"$float": "nan"}), (2**53, float(2**53)), (2**53 + 1, 2**53 + 2),
        (2**53, {"$int": str(2**53)}), ([1, 2], [2, 1]), ({}, []), ("\ud800", "\\ud800"), ({"a": 1}, {"$a": 1}),
        ({"$a": 1}, {"$$a": 1}), ([[1], 2], [[1, 2]]), (1e22, 10**22),
    ],
)  # fmt: skip
def test_values_that_python_tells_apart_have_different_keys(tmp_path: Path, values: tuple[Any, Any]) -> None:
    one, other = values
    assert key(tmp_path, params={"n": one}) != key(tmp_path, params={"n": other})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("$float"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(plain, plain)
def test_equal_keys_mean_equal_values(one: Any, other: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        same = key(Path(folder), params={"n": one}) == key(Path(folder), params={"n": other})
    order = {"sort_keys": True}
    assert same == (json.dumps(one, **order) == json.dumps(other, **order))  # type: ignore[arg-type]


@given(plain)
def test_parts_survive_strict_json_with_the_same_key(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = parts(Path(folder), params={"n": value})
    again = json.loads(json.dumps(found, allow_nan=False))
    assert fingerprint.key(again) == fingerprint.key(found)
    assert fingerprint.differences(found, again) == ()


def test_equal_parts_differ_in_nothing(tmp_path: Path) -> None:
    found = parts(tmp_path, params={"a": math.nan})
    assert fingerprint.differences(found, found) == ()


def test_differences_are_told_in_words(tmp_path: Path) -> None:
    old = {
        "version": 1, "code": "a", "parameters": "a", "values": {"n_trees": 200, "rate": {"$float": "1.0"},
        "gone": "x"},
        "inputs": {"train": "a", "gone": "b"}, "outputs": {"out": "a.csv", "same": "s"},
        "modules": {"features.py": "a", "gone.py": "b"}, "python": "3.11", "kernel": "python3",
        "distributions": {"numpy": "2.4.5", "gone": "1", "same": "1"},
    }  # fmt: skip
    new = {
        "version": 1, "code": "b", "parameters": "b", "values": {"n_trees": 300, "rate": {"$float": "nan"}, "new": [1]},
        "inputs": {"train": "c", "new": "d"}, "outputs": {"out": "b.csv", "same": "s"},
        "modules": {"features.py": "c", "new.py": "d"}, "python": "3.12", "kernel": "other",
        "distributions": {"numpy": "2.4.6", "new": "2", "same": "1"},
    }  # fmt: skip
    assert fingerprint.differences(old, new) == (
        "code of the notebook",
        "parameters cell of the notebook",
        'gone: "x" -> the notebook\'s default',
        "n_trees: 200 -> 300",
        "new: the notebook's default -> [1]",
        "rate: 1.0 -> NaN",
        "input gone is gone",
        "input new is new",
        "input train changed",
        "output out a.csv -> b.csv",
        "module features.py",
        "module gone.py is gone",
        "module new.py is new",
        "python 3.11 -> 3.12",
        "kernel python3 -> other",
        "gone 1 is gone",
        "new 2 is new",
        "numpy 2.4.5 -> 2.4.6",
    )


def test_many_distributions_are_counted_and_long_values_cut() -> None:
    old = {"values": {"x": "a" * 500}, "distributions": {f"lib{i:02}": "1" for i in range(30)}}
    new = {"values": {"x": "b" * 500}, "distributions": {f"lib{i:02}": "2" for i in range(30)}}
    told = fingerprint.differences(old, new)
    assert len(told) == 10
    assert told[-1] == "22 more distributions"
    assert all(len(text) < 150 for text in told)


def test_a_key_of_another_version_is_told(tmp_path: Path) -> None:
    assert fingerprint.differences({"version": 0}, {"version": 1}) == ("nbprod computes keys in another way now",)


def test_nothing_heavy_is_loaded_to_compute_keys() -> None:
    script = (
        "import sys; import nbprod.pipeline.fingerprint, nbprod.pipeline.parameters, nbprod.pipeline.source; "
        "heavy = {'nbformat', 'papermill', 'mlflow', 'pandas', 'sklearn', 'numpy', 'jupyter_client', 'jupyter_core', "
        "'traitlets', 'importlib.metadata', 'packaging', 'IPython'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_of_nbprod_only_its_own_version_counts_and_not_what_it_requires(tmp_path: Path) -> None:
    (tmp_path / "nbprod").mkdir()
    (tmp_path / "nbprod" / "__init__.py").write_text("import mlflow\n")
    site = tmp_path / "site-packages"
    for name, version, needs in (("nbprod", "3.1", "Requires-Dist: mlflow\n"), ("mlflow", "9.9", "")):
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (folder / "RECORD").write_text(f"{name}/__init__.py,,\n")
    found = parts(tmp_path, "import nbprod", kernel=environment(folders=(str(site),)))
    assert found["distributions"] == {"nbprod": "3.1"}
    assert found["modules"] == {}
