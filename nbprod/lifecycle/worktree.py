"""The code and the data of a version, put together again in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from nbprod.config import DATA
from nbprod.digest import sha256_bytes
from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError
from nbprod.lifecycle.sources import Bytes
from nbprod.registry import FOLDER


@contextmanager
def code_of(version: ModelVersion, registered: Path, *, project: Path, into: Path) -> Iterator[tuple[Path, str]]:
    """Check the version's commit out, with the difference that was stored; or write the stored notebooks.

    Args:
        registered: the version's registered folder, whose bytes were verified.
        project: the root of the project, in whose repository the commit is.
        into: a folder that does not exist yet.

    Yields:
        The root of the project as it was, and how it came to be in words.

    Raises:
        ArtifactError: it cannot be had, and why.
    """
    source = version.entry["source"]
    if source["measured"] != "before_run":
        raise ArtifactError("its notebook ran elsewhere and was only registered afterwards, so its code is unknown.")
    git = source["git"]
    if not isinstance(git, Mapping):
        into.mkdir(parents=True)
        (into / DATA).mkdir()
        _write_sources(version, registered, into)
        yield into, "the stored notebooks, because no commit was recorded"
        return
    if git["diff_omitted"]:
        raise ArtifactError(f"the changes in {git['diff_omitted'][0]} were too large to be stored, so they are lost.")
    prefix, commit = prefix_of(project), git["commit"]
    try:
        run_git(project, "cat-file", "-e", f"{commit}^{{commit}}")
    except ArtifactError as error:
        raise ArtifactError(
            f"the commit {commit[:12]} is not in this repository: git fetch {_remote(git)}, then try again."
        ) from error
    with checked_out(commit, prefix, project=project, into=into) as root:
        if git["diff_sha256"]:
            where = [f"--directory={prefix.rstrip('/')}"] if prefix else []
            run_git(into, "apply", "--whitespace=nowarn", *where, str(registered / FOLDER / "diff.patch"))
        if source.get("outputs") == "stripped":  # the difference of notebooks was not stored, they were
            _write_sources(version, registered, root)
        yield root, f"the commit {commit[:12]}{' with the stored changes' if git['diff_sha256'] else ''}"


def prefix_of(project: Path) -> str:
    """Where a project lies in its repository, with a ``/`` at the end; empty where it is the whole of it.

    Raises:
        ArtifactError: it is in none.
    """
    return run_git(project, "rev-parse", "--show-prefix").strip()


@contextmanager
def checked_out(commit: str, prefix: str, *, project: Path, into: Path) -> Iterator[Path]:
    """A commit in a folder that does not exist yet and is removed afterwards; gives the project's root in it.

    Args:
        prefix: see `prefix_of`.

    Raises:
        ArtifactError: git fails.
    """
    try:
        run_git(project, "worktree", "add", "--detach", "--force", str(into), commit)
        root = into / prefix
        (root / DATA).mkdir(parents=True, exist_ok=True)
        yield root
    finally:
        shutil.rmtree(into, ignore_errors=True)
        run_git(project, "worktree", "prune")


def _remote(git: Mapping[str, Any]) -> str:
    return "origin" if git["remote"] != "unknown" else "from where it was made"


def run_git(folder: Path, *words: str) -> str:
    """What git says.

    Raises:
        ArtifactError: it fails; with its own last line.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *words],
            cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ArtifactError("git is not installed, and the code is in a commit: install git.") from error
    except (OSError, subprocess.SubprocessError) as error:
        lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise ArtifactError(f"git {words[0]} failed: {lines[-1] if lines else 'it said nothing'}.") from error
    return done.stdout


def _write_sources(version: ModelVersion, registered: Path, root: Path) -> None:
    """The notebooks as they were written, and the pipeline's file, at the places where they were."""
    entry = version.entry
    for notebook in entry["source"]["notebooks"]:
        stored = registered / FOLDER / "source" / f"{notebook['stage']}.ipynb"
        content = stored.read_bytes() if stored.is_file() else b""
        if sha256_bytes(content) != notebook.get("source_sha256", notebook["sha256"]):
            raise ArtifactError(f"the stored notebook of the stage '{notebook['stage']}' is not the one that ran.")
        _put(content, root, notebook["notebook"])
    if entry["pipeline"]["path"]:
        _put(entry["pipeline"]["text"].encode(), root, entry["pipeline"]["path"])


def _put(content: bytes, root: Path, name: str) -> None:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ArtifactError(f"{name} was outside the project, so it cannot be put where it was.")
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def data_of(version: ModelVersion, source: Bytes) -> dict[str, str]:
    """Where the exact bytes of every outside input are now: ``stage.parameter`` -> path.

    Raises:
        ArtifactError: one was not kept, and is no longer where it was.
    """
    stages = version.entry["run"]["stages"]
    made = {digest for stage in stages for digest in stage["outputs"].values()}
    outside = {item["sha256"]: item for item in version.entry["inputs"] if not item["stage"]}
    return {
        f"{stage['name']}.{parameter}": str(source.data(outside[digest]).resolve())
        for stage in stages
        for parameter, digest in stage["inputs"].items()
        if digest in outside and digest not in made
    }
