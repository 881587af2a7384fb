"""Which code it was: the commit, and the diff when the working tree differed from it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nbprod.digest import sha256_bytes

UNKNOWN = "unknown"
DIFF_MAX = 5_000_000
"""A larger diff is recorded by its digest only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """A project's state in git.

    Attributes:
        commit: full hash; ``unknown`` without git or before the first commit.
        dirty: whether anything differed from the commit; None if unknown.
        diff: the difference as ``git apply`` takes it, new files included.
    """

    commit: str = UNKNOWN
    branch: str = UNKNOWN
    remote: str = UNKNOWN
    dirty: bool | None = None
    diff: bytes = b""

    def entry(self) -> dict[str, Any] | str:
        """What ``nbprod.json`` says of it."""
        if self.commit == UNKNOWN:
            return UNKNOWN
        return {
            "commit": self.commit,
            "branch": self.branch,
            "remote": self.remote,
            "dirty": self.dirty,
            "diff": {"sha256": sha256_bytes(self.diff), "bytes": len(self.diff)} if self.diff else None,
        }


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def git_state(root: Path) -> GitState:
    """The state of the project's repository now; everything is ``unknown`` where git cannot tell."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return GitState()
    branch = _git(root, "rev-parse", "--abbrev-ref", "HEAD")
    remote = _git(root, "config", "--get", "remote.origin.url")
    diff = _diff(root)
    return GitState(
        commit=commit.decode().strip(),
        branch=branch.decode().strip() if branch else UNKNOWN,
        remote=_without_credentials(remote.decode().strip()) if remote else UNKNOWN,
        dirty=bool(diff),
        diff=diff if len(diff) <= DIFF_MAX else b"",
    )


def _diff(root: Path) -> bytes:
    """Changed and new files under the project's root; what git ignores is left out."""
    changed = _git(root, "diff", "--binary", "HEAD", "--", ".") or b""
    listed = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or b""
    parts = [changed]
    for name in sorted(filter(None, listed.decode(errors="surrogateescape").split("\0"))):
        if (root / name).is_file() and (root / name).stat().st_size <= DIFF_MAX:
            parts.append(_new_file(root, name))
    return b"".join(parts)


def _new_file(root: Path, name: str) -> bytes:
    """The diff that adds an untracked file. git exits with 1 when there is a difference, so it is asked apart."""
    done = subprocess.run(
        ["git", "-C", str(root), "diff", "--binary", "--no-index", "--", "/dev/null", name],
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def _without_credentials(url: str) -> str:
    """A URL without the user and password that may stand in it."""
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
