"""nbprod's own wheel is whole, can be installed and is the same whenever it is made."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from nbprod.digest import sha256_file
from nbprod.errors import DeployError
from nbprod.packaging.wheel import own_wheel


def installed(place: Path, *, metadata: str | None = "Name: nbprod\nVersion: 9.0\n") -> tuple[Path, PathDistribution]:
    """A package that is installed under a folder."""
    package, info = place / "nbprod", place / "nbprod-9.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("__version__ = '9.0'\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_text("compiled")
    if metadata is not None:
        (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text("[console_scripts]\nnbprod = nbprod:main\n")
    return package, PathDistribution(info)


def test_the_same_files_give_the_same_wheel_whenever_and_however_they_lie_there(tmp_path: Path) -> None:
    found = []
    for name, mask, time in (("a", 0o022, 1_000_000_000), ("b", 0o077, 1_700_000_000)):
        before = os.umask(mask)
        try:
            package, dist = installed(tmp_path / name)
            os.utime(package / "__init__.py", (time, time))
            (tmp_path / name / "out").mkdir()
            found.append(own_wheel(tmp_path / name / "out", package=package, dist=dist))
        finally:
            os.umask(before)
    assert sha256_file(found[0]) == sha256_file(found[1])


def test_the_wheel_holds_what_a_wheel_must_and_nothing_that_was_compiled(tmp_path: Path) -> None:
    package, dist = installed(tmp_path)
    wheel = own_wheel(tmp_path, package=package, dist=dist)
    assert wheel.name == "nbprod-9.0-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    info = "nbprod-9.0.dist-info"
    assert names == [
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/entry_points.txt",
        "nbprod/__init__.py",
        f"{info}/RECORD",
    ]
    record = zipfile.ZipFile(wheel).read(f"{info}/RECORD").decode().splitlines()
    assert [line.partition(",")[0] for line in record] == names


def test_the_wheel_of_this_nbprod_can_be_installed(tmp_path: Path) -> None:
    wheel = own_wheel(tmp_path)
    target = tmp_path / "site"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--target", target, wheel], check=True, cwd=tmp_path)
    program = "import nbprod, sys; print(nbprod.__file__)"
    said = subprocess.run(
        [sys.executable, "-P", "-c", program], env={"PYTHONPATH": str(target)}, capture_output=True, text=True
    )
    assert said.stdout.startswith(str(target))
    assert any(target.glob("nbprod-*.dist-info/licenses/LICENSE"))


def test_nbprod_that_is_only_on_the_path_cannot_travel(tmp_path: Path) -> None:
    package, _ = installed(tmp_path, metadata=None)
    (tmp_path / "nbprod-9.0.dist-info" / "PKG-INFO").write_text("Name: nbprod\nVersion: 9.0\n")
    with pytest.raises(DeployError, match="pip install nbprod"):
        own_wheel(tmp_path, package=package, dist=_Bare(tmp_path / "nbprod-9.0.dist-info"))


class _Bare(PathDistribution):
    """A distribution whose version is known and whose metadata's file is not there."""

    version = "9.0"

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """Nothing."""
        return None
