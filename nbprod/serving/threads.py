"""How many threads OpenMP and BLAS may use: what the cgroup's CPU quota leaves, not what the machine has.

Two busy threads on one CPU wait for each other: a row that takes a gradient boosting 0.7 ms then takes a second. So the
thread that answers small batches uses one, and only large batches get the rest.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs that the cgroup of this process, or one above it, allows; None where none sets a limit."""
    found = [share for folder in _folders(root, own) if (share := _share(folder)) is not None]
    return min(found) if found else None


def _folders(root: Path, own: Path) -> list[Path]:
    """The folders of this process's cgroup and of those above it, in version 2 and version 1."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = [root, root / "cpu"]
    for line in lines:
        _, _, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for top in (root, root / "cpu", root / "cpu,cpuacct"):
            found += [top.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
    return found


def _share(folder: Path) -> float | None:
    try:
        limit, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        try:
            limit = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        except OSError:
            return None
    try:
        share = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return share if share > 0 else None


def cpus() -> int:
    """Whole CPUs that this process may use, at least one."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = quota()
    return own if limit is None else max(1, min(own, math.floor(limit)))


def set_variables(workers: int) -> int:
    """Tell OpenMP and BLAS, before numpy is imported, what each worker may use; what somebody set stays.

    Returns:
        That number.
    """
    count = max(1, cpus() // workers)
    for name in VARIABLES:
        os.environ.setdefault(name, str(count))
    return count


def use(count: int) -> None:
    """Let this thread's OpenMP regions, and all of BLAS, use so many threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=count)


def use_in_this_thread(count: int) -> None:
    """Let only this thread's OpenMP regions use so many threads; BLAS knows no such difference."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=count, user_api="openmp")
