"""Finding kernels and what is installed for them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from nbprod.errors import NotebookError
from nbprod.pipeline.environment import KernelEnvironment, find_kernel, kernel_folders
from tests.pipeline.made import MemoryCache, written

FAKE_PYTHON = """#!/bin/sh
echo asked >> '{log}'
echo '{answer}'
"""


@pytest.fixture(autouse=True)
def no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's folders, all of them empty but for the first."""
    for name in ("JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter" / "kernels"


def kernel(folder: Path, name: str, *argv: str, language: str = "python") -> None:
    written(folder, {"argv": list(argv), "display_name": name, "language": language}, f"{name}/kernel.json")


def find(name: str, cache: MemoryCache | None = None, default: str = "python3") -> KernelEnvironment:
    return find_kernel(name, default=default, label="a.ipynb", cache=cache if cache is not None else MemoryCache())


def other_python(folder: Path, site: Path, minor: str = "3.12") -> Path:
    """A program that answers as another Python would."""
    answer = {"minor": minor, "folders": [str(site)], "standard": ["json"], "markers": {"python_version": minor}}
    path = written(folder, FAKE_PYTHON.format(log=folder / "log", answer=json.dumps(answer)), "bin/python")
    path.chmod(0o755)
    return path


def test_a_notebook_without_a_kernel_runs_with_the_default(no_kernels: Path) -> None:
    kernel(no_kernels, "mine", "python", "-m", "ipykernel_launcher")
    assert find("", default="mine").kernel == "mine"


@pytest.mark.parametrize("command", ["python", "python3", f"python3.{sys.version_info[1]}", sys.executable])
def test_a_plain_python_is_this_interpreter(no_kernels: Path, command: str) -> None:
    kernel(no_kernels, "mine", command, "-m", "ipykernel_launcher")
    found = find("mine")
    assert (found.python, found.minor) == (sys.executable, f"3.{sys.version_info[1]}")


def test_kernels_are_found_whatever_their_case(no_kernels: Path) -> None:
    kernel(no_kernels, "Mine", "python")
    assert find("mine").python == find("MINE").python == sys.executable


def test_the_first_on_jupyters_path_wins(no_kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")]))
    kernel(tmp_path / "one" / "kernels", "mine", "R", language="R")
    kernel(tmp_path / "two" / "kernels", "mine", "python")
    assert find("mine").python == ""


def test_kernels_are_looked_for_where_jupyter_does() -> None:
    from jupyter_core.paths import jupyter_path

    assert [os.path.realpath(path) for path in jupyter_path("kernels")] == [
        os.path.realpath(path) for path in kernel_folders()[:-1]
    ]


def test_the_native_kernel_needs_no_file() -> None:
    assert find("python3").python == sys.executable


def test_an_unknown_kernel_names_the_nearest(no_kernels: Path) -> None:
    kernel(no_kernels, "analysis", "python")
    with pytest.raises(NotebookError) as caught:
        find("analisys")
    assert str(caught.value) == (
        "a.ipynb: names the kernel 'analisys', which is not installed. Did you mean 'analysis'? Choose a kernel in "
        "JupyterLab and save, or run with --kernel python3."
    )


def test_an_unknown_kernel_lists_what_there_is(no_kernels: Path) -> None:
    kernel(no_kernels, "analysis", "python")
    with pytest.raises(NotebookError, match=r"There is: analysis, python3\."):
        find("zzz")


@pytest.mark.parametrize("spec", ["", "[]", '{"language": "python"}', '{"argv": 3}'])
def test_a_damaged_kernel_is_told(no_kernels: Path, spec: str) -> None:
    written(no_kernels, spec, "mine/kernel.json")
    with pytest.raises(NotebookError, match=r"a\.ipynb: names the kernel 'mine', whose .*kernel\.json is damaged"):
        find("mine")


def test_another_language_has_no_distributions(no_kernels: Path) -> None:
    kernel(no_kernels, "ir", "R", language="R")
    found = find("ir")
    assert (found.python, found.minor, found.closure(["numpy"]), found.freeze()) == ("", "", {}, {})


def test_a_kernel_that_another_program_starts_has_none_either(no_kernels: Path) -> None:
    kernel(no_kernels, "conda", "/opt/conda/bin/conda", "run", "python")
    assert find("conda").closure(["numpy"]) == {}


def test_another_interpreter_is_asked_once(no_kernels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    written(site, "Name: lib\nVersion: 2\n", "lib-2.dist-info/METADATA")
    python = other_python(tmp_path, site)
    kernel(no_kernels, "other", str(python))
    cache = MemoryCache()
    for _ in range(2):
        found = find("other", cache)
        assert (found.python, found.minor) == (str(python), "3.12")
        assert found.closure(["lib", "json"]) == {"lib": "2"}
    assert (tmp_path / "log").read_text() == "asked\n"


def test_an_interpreter_that_changed_is_asked_again(no_kernels: Path, tmp_path: Path) -> None:
    cache = MemoryCache()
    kernel(no_kernels, "other", str(other_python(tmp_path, tmp_path)))
    find("other", cache)
    os.utime(other_python(tmp_path, tmp_path, "3.13"), ns=(1, 1))
    assert find("other", cache).minor == "3.13"


def test_a_real_interpreter_can_answer(no_kernels: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"  # a link in another folder is another environment
    python.symlink_to(os.path.realpath(sys.executable))
    kernel(no_kernels, "other", str(python))
    found = find("other")
    assert (found.python, found.minor) == (str(python), f"3.{sys.version_info[1]}")
    assert "json" in found.standard


def test_an_interpreter_that_is_gone_is_told(no_kernels: Path) -> None:
    kernel(no_kernels, "old", "/nowhere/bin/python3.7")
    with pytest.raises(
        NotebookError, match=r"whose interpreter /nowhere/bin/python3\.7 is not there: install that kernel"
    ):
        find("old")


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n"])
def test_an_interpreter_that_does_not_answer_is_told(no_kernels: Path, tmp_path: Path, script: str) -> None:
    written(tmp_path, script, "python").chmod(0o755)
    kernel(no_kernels, "old", str(tmp_path / "python"))
    cache = MemoryCache()
    with pytest.raises(NotebookError, match="does not answer"):
        find("old", cache)
    assert cache == {}


def environment(site: Path, cache: MemoryCache) -> KernelEnvironment:
    return KernelEnvironment(
        kernel="k", python="python", minor="3.11", folders=(str(site),), standard=frozenset({"json"}), cache=cache
    )


def test_the_standard_library_counts_nothing_and_what_is_unknown_is_told(tmp_path: Path) -> None:
    written(tmp_path, "Name: lib\nVersion: 1\n", "lib-1.dist-info/METADATA")
    found = environment(tmp_path, MemoryCache())
    assert found.closure(["json", "lib", "nowhere"]) == {"lib": "1", "nowhere": "unknown"}
    assert found.closure(["json"], maybe=["lib", "mine"]) == {"lib": "1"}


def test_what_is_installed_is_read_once_and_then_recalled(tmp_path: Path) -> None:
    metadata = written(tmp_path, "Name: lib\nVersion: 1\n", "lib-1.dist-info/METADATA")
    cache = MemoryCache()
    assert environment(tmp_path, cache).freeze() == {"lib": "1"}
    metadata.write_text("Name: lib\nVersion: 7\n")
    assert environment(tmp_path, cache).freeze() == {"lib": "1"}
    assert len(cache) == 1


def test_what_was_installed_since_is_read_again(tmp_path: Path) -> None:
    cache = MemoryCache()
    written(tmp_path, "Name: lib\nVersion: 1\n", "lib-1.dist-info/METADATA")
    assert environment(tmp_path, cache).freeze() == {"lib": "1"}
    (tmp_path / "lib-1.dist-info").rename(tmp_path / "lib-2.dist-info")
    (tmp_path / "lib-2.dist-info" / "METADATA").write_text("Name: lib\nVersion: 2\n")
    assert environment(tmp_path, cache).freeze() == {"lib": "2"}
