"""The folder of copies of a running service; one that a killed service left is removed by the next that starts.

A service holds a lock on its folder, and so do the processes that it forked: a folder without one belongs to nobody.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "nbprod-serve-"
BEGUN = "nbprod-begun-"
"""How a folder is called until it is locked, so that nobody removes it meanwhile."""


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of this process, which is removed when the block ends."""
    import fcntl

    remove_left()
    begun = Path(tempfile.mkdtemp(prefix=BEGUN))
    lock = os.open(begun, os.O_RDONLY | os.O_CLOEXEC)
    folder = begun.with_name(f"{PREFIX}{secrets.token_hex(8)}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun.rename(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left() -> list[Path]:
    """Remove the folders of services that were killed; those of other people are left alone."""
    import fcntl

    removed = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid != os.getuid():
                continue
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
        finally:
            os.close(lock)
    return removed
