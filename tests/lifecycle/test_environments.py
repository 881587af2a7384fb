"""The recorded environment is told apart from the one that is here, and what cannot be built says why."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from nbprod import __version__
from nbprod.errors import ArtifactError
from nbprod.lifecycle.environments import build, differences
from nbprod.pipeline.environment import KernelEnvironment, find_kernel
from tests.pipeline.made import MemoryCache


@pytest.fixture(scope="module")
def here() -> KernelEnvironment:
    return find_kernel("python3", default="python3", label="a.ipynb", cache=MemoryCache())


def recorded(here: KernelEnvironment, **changes: Any) -> dict[str, Any]:
    key = {name: version for name, version in here.freeze().items() if name in ("numpy", "pandas")}
    return {"python": platform.python_version(), "key": key, "freeze": [], **changes}


def test_the_same_versions_of_what_counts_are_the_same_environment(here: KernelEnvironment) -> None:
    assert differences(recorded(here), here) == []
    assert differences(recorded(here, python=f"{here.minor}.99"), here) == []


def test_another_python_another_version_and_a_missing_package_are_told(here: KernelEnvironment) -> None:
    unlike = differences(recorded(here, python="3.1.0", key={"numpy": "1.0", "nowhere": "2.0"}), here)
    assert unlike == [
        f"Python {here.minor} instead of 3.1.0",
        f"numpy {here.freeze()['numpy']} instead of 1.0",
        "nowhere missing instead of 2.0",
    ]


def test_a_python_that_is_not_installed_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"it was made with Python 3.1.0, and python3.1 is not installed"):
        build({"python": "3.1.0", "freeze": [], "key": {}}, tmp_path / "environment")


def test_a_package_that_is_not_to_be_had_is_told_in_pips_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    frozen = {"python": platform.python_version(), "freeze": ["no-such-package==1.0"], "key": {}}
    with pytest.raises(ArtifactError, match=r"the recorded packages cannot be installed: ERROR: .*no-such-package"):
        build(frozen, tmp_path / "environment")


def test_an_environment_is_built_with_a_kernel_and_the_nbprod_that_runs(tmp_path: Path) -> None:
    frozen = {"python": platform.python_version(), "freeze": [f"nbprod=={__version__}"], "key": {}}
    chosen = build(frozen, tmp_path / "environment")
    built = find_kernel_in(chosen.variables["JUPYTER_PATH"], chosen.kernel)
    assert built.minor == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert built.freeze()["nbprod"] == __version__
    with pytest.raises(ArtifactError, match=r"it was made with nbprod 0.0.1, and this is .*: install nbprod==0.0.1"):
        build({**frozen, "freeze": ["nbprod==0.0.1"]}, tmp_path / "other")


def find_kernel_in(path: str, name: str) -> KernelEnvironment:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", path)
        return find_kernel(name, default="python3", label="a.ipynb", cache=MemoryCache())
