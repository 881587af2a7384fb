"""Reading what is installed."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from nbprod.pipeline.distributions import Distributions, listing, normal_name, read_distributions
from tests.pipeline.made import written

MARKERS = {"python_version": "3.11", "sys_platform": "linux", "os_name": "posix"}


def install(site: Path, name: str, version: str, *headers: str, files: str = "", info: str = "dist-info") -> None:
    """Metadata as pip writes it."""
    folder = f"{name}-{version}.{info}"
    lines = [f"Name: {name}", f"Version: {version}", *headers]
    written(
        site, "\n".join(["Metadata-Version: 2.1", *lines]) + "\n\nA description\nVersion: 99\n", f"{folder}/METADATA"
    )
    if files:
        written(site, "".join(f"{file},sha256=x,1\n" for file in files.split()), f"{folder}/RECORD")


def read(site: Path) -> Distributions:
    return read_distributions([str(site)], MARKERS)


def test_what_importlib_says_is_installed_here_is_what_is_found() -> None:
    folders = [path for path in sys.path if path.endswith("site-packages")]
    found = read_distributions(folders, {})
    known = {normal_name(d.metadata["Name"]): d.version for d in importlib.metadata.distributions(path=folders)}
    assert found.versions == known
    brought_by = importlib.metadata.packages_distributions()
    for module in ("numpy", "sklearn", "yaml", "mlflow", "dateutil"):
        assert set(found.modules[module]) == {normal_name(name) for name in brought_by[module]}


def test_requirements_are_followed_with_markers_and_extras(tmp_path: Path) -> None:
    install(tmp_path, "app", "1", "Requires-Dist: foo[Bar_x] >=1 ; python_version > '3'", "Requires-Dist: gone",
            "Requires-Dist: win; sys_platform == 'win32'", "Requires-Dist: dev; extra == 'dev'",
            files="app/__init__.py")  # fmt: skip
    install(
        tmp_path, "foo", "2", "Requires-Dist: always", "Requires-Dist: more; extra == 'bar-x'", "Provides-Extra: bar-x"
    )
    for name in ("always", "more", "win", "dev", "unrelated"):
        install(tmp_path, name, "3")
    assert read(tmp_path).closure(["app"]) == {"always": "3", "app": "1", "foo": "2", "more": "3"}


def test_requirements_in_a_circle_end(tmp_path: Path) -> None:
    install(tmp_path, "a", "1", "Requires-Dist: b")
    install(tmp_path, "b", "1", "Requires-Dist: a", "Requires-Dist: b[c]", "Requires-Dist: a; extra == 'c'")
    assert read(tmp_path).closure(["a"]) == {"a": "1", "b": "1"}


def test_the_modules_of_a_distribution_are_those_in_its_files(tmp_path: Path) -> None:
    files = "ml/__init__.py ml/sub/x.py single.py fast.cpython-311-darwin.so ../../bin/run.py"
    install(tmp_path, "My.Lib", "1", files=files)
    assert read(tmp_path).modules == {"ml": ["my-lib"], "single": ["my-lib"], "fast": ["my-lib"]}


def test_a_namespace_belongs_to_all_its_distributions(tmp_path: Path) -> None:
    install(tmp_path, "google-a", "1", files="google/a/x.py")
    install(tmp_path, "google-b", "2", files="google/b/x.py")
    assert read(tmp_path).closure(["google"]) == {"google-a": "1", "google-b": "2"}


def test_an_editable_installation_brings_the_modules_that_its_path_file_points_at(tmp_path: Path) -> None:
    site, code = tmp_path / "site-packages", tmp_path / "code"
    written(code, "", "mylib/__init__.py")
    written(code, "", "tool.py")
    written(site, f"# comment\nimport nothing\n{code}\n/nowhere/at/all\n", "_editable_impl_mylib.pth")
    install(site, "mylib-dist", "1", files="_editable_impl_mylib.pth mylib_dist-1.dist-info/METADATA")
    assert read(site).modules == {"mylib": ["mylib-dist"], "tool": ["mylib-dist"]}


def test_old_metadata_is_read_too(tmp_path: Path) -> None:
    egg = "old-1.egg-info"
    written(tmp_path, "Name: old\nVersion: 1\n", f"{egg}/PKG-INFO")
    written(tmp_path, "old_module\n", f"{egg}/top_level.txt")
    written(tmp_path, "base\n\n[more]\nextra\n\n[:sys_platform == 'win32']\nwin\n", f"{egg}/requires.txt")
    written(tmp_path, "Name: lone\nVersion: 2\n", "lone-2.egg-info")
    found = read(tmp_path)
    assert found.versions == {"old": "1", "lone": "2"}
    assert found.modules == {"old_module": ["old"], "lone": ["lone"]}
    assert found.requires == {"old": ["base"], "old[more]": ["extra"]}


def test_damaged_and_left_over_metadata_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "empty-1.dist-info").mkdir()
    install(tmp_path, "~alf-gone", "1")
    install(tmp_path, "odd", "1", "Requires-Dist: not a requirement !!", "Requires-Dist: base")
    found = read(tmp_path)
    assert found.versions == {"empty": "unknown", "odd": "1"}
    assert found.requires == {"odd": ["base"]}


def test_of_two_with_one_name_the_first_on_the_path_counts(tmp_path: Path) -> None:
    install(tmp_path / "a", "lib", "1")
    install(tmp_path / "b", "Lib", "2")
    assert read_distributions([str(tmp_path / "a"), str(tmp_path / "b"), "/nowhere"], MARKERS).versions == {"lib": "1"}


def test_a_module_that_nothing_brings_is_listed_as_unknown(tmp_path: Path) -> None:
    assert read(tmp_path).closure(["nowhere"]) == {"nowhere": "unknown"}


def test_installing_and_removing_is_seen_in_the_names_alone(tmp_path: Path) -> None:
    install(tmp_path, "a", "1")
    before = listing([str(tmp_path), "/nowhere"])
    install(tmp_path, "b", "1")
    assert listing([str(tmp_path)]) != before
    assert listing([str(tmp_path / "empty")]) == []


def test_distributions_survive_json(tmp_path: Path) -> None:
    install(tmp_path, "a", "1", "Requires-Dist: b")
    assert Distributions.from_dict(read(tmp_path).to_dict()) == read(tmp_path)
