"""Where a run's files are: its name, its lock, and the links in ``runs/latest``."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from nbprod.config import Project


def new_run_id() -> str:
    """A name for a run that sorts by time and is unique."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def running_lock(project: Project, run: str) -> Iterator[None]:
    """Held while a run goes on: whoever can take it knows that the run's process is gone."""
    from filelock import FileLock

    path = lock_path(project, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield
    path.unlink(missing_ok=True)


def lock_path(project: Project, run: str) -> Path:
    """The lock file of a run."""
    return project.data / "locks" / f"run-{run}.lock"


def link_latest(project: Project, run: str, stage: str) -> None:
    """Point ``runs/latest/<stage>`` and ``runs/latest/<stage>.ipynb`` at a run.

    Each link changes at once or not at all.
    """
    latest = project.runs / "latest"
    latest.mkdir(parents=True, exist_ok=True)
    for name in (stage, f"{stage}.ipynb"):
        if (project.runs / run / name).exists():
            _link(latest / name, Path("..", run, name))


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    part = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    part.symlink_to(target)
    os.replace(part, link)
