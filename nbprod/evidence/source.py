"""Which code it was: the commit, and what differed from it.

The difference holds changed tracked files and untracked source files under the project's root, as ``git apply`` takes
it. Data, large files and what nbprod itself writes stay out; what was left out is named.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nbprod.digest import sha256_bytes
from nbprod.registry.uri import shown

UNKNOWN = "unknown"

FILE_MAX = 1_000_000
"""Bytes; a larger file is named but its difference is not kept."""

DIFF_MAX = 5_000_000
"""Bytes of all files whose difference is kept, the smallest first; the rest is named only."""

BATCH = 200
"""How many paths git is given at once: a command line has an end."""

SOURCES = frozenset({
    ".py", ".ipynb", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".json", ".sql", ".r", ".jl", ".sh", ".md", ".rst",
    ".txt", ".in", ".lock", ".pyx", ".c", ".h", ".cpp", ".rs",
})  # fmt: skip
"""Suffixes of untracked files that count as source. Not ``.env`` and the like: they hold secrets."""

OURS = ("runs", ".nbprod")
"""Folders that nbprod writes."""

_SAFE = (
    "-c", "core.fsmonitor=false", "-c", "core.quotepath=off", "-c", "core.untrackedCache=false", "-c", "diff.external=",
    "-c", "color.ui=false", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false",
)  # fmt: skip
_ADD = ("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
_PLAIN = ("--no-ext-diff", "--no-textconv", "--binary", "--full-index", "--no-renames", "--ignore-submodules=dirty")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """A project's state in git.

    Attributes:
        commit: full hash; ``unknown`` without git or before the first commit.
        branch: ``unknown`` when no branch is checked out.
        remote: URL of ``origin`` without credentials.
        dirty: whether any source differed from the commit; None if unknown.
        diff: the difference, byte for byte.
        omitted: changed files whose difference is too large to keep.
    """

    commit: str = UNKNOWN
    branch: str = UNKNOWN
    remote: str = UNKNOWN
    dirty: bool | None = None
    diff: bytes = b""
    omitted: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any] | str:
        """What ``nbprod.json`` says of it: the difference as text, its exact bytes by their sha256."""
        if self.commit == UNKNOWN:
            return UNKNOWN
        return {
            "commit": self.commit,
            "branch": self.branch,
            "remote": self.remote,
            "dirty": self.dirty,
            "diff": self.diff.decode("utf-8", errors="replace") if self.diff else None,
            "diff_sha256": sha256_bytes(self.diff) if self.diff else None,
            "diff_omitted": list(self.omitted),
        }


def git_state(root: Path) -> GitState:
    """The state of the project's repository now; everything is ``unknown`` where git cannot tell."""
    commit = _text(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not commit:
        return GitState()
    branch = _text(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    remote = _text(root, "config", "--get", "remote.origin.url")
    changed, new = _changed(root), _untracked(root)
    kept = _affordable({**changed, **new})
    return GitState(
        commit=commit,
        branch=branch or UNKNOWN,
        remote=shown(remote) if remote else UNKNOWN,
        dirty=bool(changed or new),
        diff=_diff(root, sorted(kept), [name for name in new if name in kept]),
        omitted=tuple(sorted({*changed, *new} - kept)),
    )


def _git(root: Path, *arguments: str, given: bytes = b"", index: Path | None = None) -> bytes | None:
    """What git prints, or None where it fails; it neither asks, nor writes, nor runs what the repository configures."""
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
    if index:
        environment["GIT_INDEX_FILE"] = str(index)
    try:
        done = subprocess.run(
            ["git", *_SAFE, *arguments],
            cwd=root,
            env=environment,
            input=given,
            capture_output=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _text(root: Path, *arguments: str) -> str:
    return (_git(root, *arguments) or b"").decode(errors="replace").strip()


def _ours(name: str) -> bool:
    return PurePosixPath(name).parts[0] in OURS


def _changed(root: Path) -> dict[str, int]:
    """Changed tracked files -> bytes, now or in the commit, whichever is more."""
    listed = _git(root, "diff", "--raw", "-z", "--no-renames", "--abbrev=64", "--relative", "HEAD", "--", ".") or b""
    fields = listed.split(b"\0")
    pairs = [(os.fsdecode(fields[i + 1]), fields[i].split()[2]) for i in range(0, len(fields) - 1, 2)]
    pairs = [(name, blob) for name, blob in pairs if not _ours(name)]
    sizes = _blob_sizes(root, [blob for _, blob in pairs])
    return {name: max(size, _size(root / name)) for (name, _), size in zip(pairs, sizes, strict=True)}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() and not path.is_symlink() else 0


def _blob_sizes(root: Path, blobs: Sequence[bytes]) -> list[int]:
    """Bytes of files as they are in the commit; 0 for one that is not in it."""
    if not blobs:
        return []
    answer = _git(root, "cat-file", "--batch-check=%(objectsize)", given=b"\n".join(blobs) + b"\n") or b""
    sizes = [int(line) if line.isdigit() else 0 for line in answer.splitlines()]
    return sizes if len(sizes) == len(blobs) else [0] * len(blobs)


def _untracked(root: Path) -> dict[str, int]:
    """Untracked source files that git does not ignore -> bytes."""
    listed = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or b""
    names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    chosen = [n for n in names if not _ours(n) and PurePosixPath(n).suffix.lower() in SOURCES and (root / n).is_file()]
    return {name: _size(root / name) for name in chosen}


def _affordable(sizes: Mapping[str, int]) -> frozenset[str]:
    """The files whose difference is kept."""
    kept: set[str] = set()
    total = 0
    for name, size in sorted(sizes.items(), key=lambda item: (item[1], item[0])):
        total += size
        if size <= FILE_MAX and total <= DIFF_MAX:
            kept.add(name)
    return frozenset(kept)


def _diff(root: Path, names: Sequence[str], new: Sequence[str]) -> bytes:
    """The difference of some files from the commit; the user's own index is left alone.

    Args:
        new: those among them that git does not know; they are made known to a copy of the index.
    """
    if not names:
        return b""
    with tempfile.TemporaryDirectory(prefix="nbprod-") as folder:
        own = Path(root, _text(root, "rev-parse", "--git-path", "index"))
        index = Path(folder, "index") if own.is_file() else None
        if index:
            shutil.copy2(own, index)  # with its time, by which git sees which files it must compare
            listed = b"\0".join(os.fsencode(name) for name in new)
            _git(root, *_ADD, given=listed, index=index)
        parts = [
            _git(root, "diff", *_PLAIN, "--relative", "HEAD", "--", *names[start : start + BATCH], index=index)
            for start in range(0, len(names), BATCH)
        ]
    return b"".join(part or b"" for part in parts)
