"""The CPUs that a cgroup leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.serving import threads


def made(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_max", ".max").replace("_cfs", ".cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_smallest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    root = made(tmp_path / "fs", cpu_max="max 100000\n", a__cpu_max="150000 100000\n", a__b__cpu_max="300000 100000\n")
    own = tmp_path / "cgroup"
    own.write_text("0::/a/b\n")
    assert threads.quota(root, own) == 1.5


def test_version_1_is_read_too_and_no_quota_is_none(tmp_path: Path) -> None:
    root = made(tmp_path / "fs", cpu__cpu_cfs_quota_us="50000\n", cpu__cpu_cfs_period_us="100000\n")
    own = tmp_path / "cgroup"
    own.write_text("4:cpu,cpuacct:/\n")
    assert threads.quota(root, own) == 0.5
    assert threads.quota(made(tmp_path / "none", cpu_max="max 100000"), own) is None
    assert threads.quota(tmp_path / "nothing", tmp_path / "nowhere") is None


def test_what_somebody_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cpus", lambda: 8)
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.set_variables(workers=2) == 4
    import os

    assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("3", "4")
