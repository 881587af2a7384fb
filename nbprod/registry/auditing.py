"""Where the lines of audit logs lie: one file a line, made only if there is none, beside the registry itself.

All who use a registry share the place: the folder of artifacts of an experiment of this name, which MLflow makes only
once. A local folder decides between two who write the same line at once. A server that stores artifacts for its clients
cannot: there the line is read back after it was written, which finds all but the narrowest races (see SECURITY.md).
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from nbprod.errors import AliasConflict

EXPERIMENT = "nbprod-audit"
HEAD_TAG = "nbprod.audit.head"
"""Tag of a registered model, or of the experiment for `ERASURES`: what is noted of the last line of the log."""

ERASURES = ":erasures"
"""The log of data subjects who asked to be forgotten: of the whole registry, and no model can be called so."""

UNLINKABLE = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What folders answer that know no hard links: those of USB sticks, of some networks and virtual machines."""

_FILE = re.compile(r"\d{8}\.json\Z")


def taken(name: str, number: int) -> AliasConflict:
    """The error for a line that somebody else wrote first."""
    return AliasConflict(
        f"somebody else changed the model '{name}' at the same time and wrote line {number} of its audit log, so "
        f"nothing was moved: look at it with `nbprod history {name}`, and do it again if you still want it."
    )


def log_folder(name: str) -> str:
    """The folder of a model's log, for any name that a model may have."""
    return quote(name, safe="").replace(".", "%2E")


def file_name(number: int) -> str:
    """The file of a line."""
    return f"{number:08}.json"


def local_folder(location: str, name: str) -> Path | None:
    """Where a model's log lies if artifacts lie in this machine's folders; None if a server keeps them."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path) if parts.scheme else location) / log_folder(name)


def read_local(folder: Path) -> tuple[str, ...]:
    """The lines in a folder, by their number."""
    if not folder.is_dir():
        return ()
    files = sorted(path for path in folder.iterdir() if _FILE.match(path.name))
    return tuple(path.read_text(encoding="utf-8", errors="replace") for path in files)


def append_local(folder: Path, name: str, number: int, line: str) -> None:
    """Write a line that appears whole, or not at all if there is one of that number.

    Raises:
        AliasConflict: there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(number)
    handle, part = tempfile.mkstemp(prefix=".part-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)  # others of the team read it
        _appear(part, target)
    except FileExistsError:
        raise taken(name, number) from None
    finally:
        os.unlink(part)


def _appear(part: str, target: Path) -> None:
    """Give a file its name; unlike a rename this does not replace what somebody else wrote meanwhile."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in UNLINKABLE:
            raise
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)  # as safe, though not whole at once
        with os.fdopen(handle, "wb") as file:
            file.write(Path(part).read_bytes())
            file.flush()
            os.fsync(file.fileno())


def read_remote(files: Any, name: str) -> tuple[str, ...]:
    """The lines that a server keeps.

    Args:
        files: one of MLflow's artifact repositories.
    """
    listed = sorted(posixpath.basename(item.path) for item in files.list_artifacts(log_folder(name)))
    return tuple(_read(files, name, file) for file in listed if _FILE.match(file))


def _read(files: Any, name: str, file: str) -> str:
    with tempfile.TemporaryDirectory(prefix="nbprod-") as scratch:
        path = files.download_artifacts(f"{log_folder(name)}/{file}", scratch)
        return Path(path).read_text(encoding="utf-8", errors="replace")


def append_remote(files: Any, name: str, number: int, line: str, *, pause: Callable[[], None]) -> None:
    """Write a line where a server keeps artifacts, and read it back.

    Args:
        pause: waits until another who writes at the same moment is done, too.

    Raises:
        AliasConflict: there is a line of that number, or somebody else wrote over this one.
    """
    file = file_name(number)
    if any(posixpath.basename(item.path) == file for item in files.list_artifacts(log_folder(name))):
        raise taken(name, number)
    with tempfile.TemporaryDirectory(prefix="nbprod-") as scratch:
        path = Path(scratch, file)
        path.write_text(line, encoding="utf-8")
        files.log_artifact(str(path), log_folder(name))
    pause()
    found = _read(files, name, file)
    if found != line:
        raise taken(name, number)
