"""The state of the code in git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nbprod.digest import sha256_bytes
from nbprod.evidence import source
from nbprod.evidence.source import GitState, git_state


class Repository:
    """A git repository in a folder, with a commit by nobody."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> bytes:
        """Run git there, without this machine's settings."""
        identity = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)
        return done.stdout

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, **files: str) -> str:
        """Commit ``train.py`` and everything else that is there; returns the commit."""
        self.write("train.py", "print('one')\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=first")
        return self.git("rev-parse", "HEAD").decode().strip()

    def restored(self, diff: bytes) -> Path:
        """A fresh copy of the commit with a difference applied to it."""
        copy = self.root.parent / "restored"
        subprocess.run(["git", "clone", "--quiet", str(self.root), str(copy)], check=True, capture_output=True)
        subprocess.run(["git", "apply", "--binary", "-"], cwd=copy, input=diff, check=True, capture_output=True)
        return copy


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """An empty repository; git sees no settings of whoever runs the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return Repository(tmp_path / "repository")


def test_a_clean_commit_is_told_with_its_branch(repository: Repository) -> None:
    commit = repository.commit()

    assert git_state(repository.root) == GitState(commit=commit, branch="main", dirty=False)


def test_without_git_everything_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert git_state(tmp_path) == GitState()
    assert git_state(tmp_path).entry() == "unknown"


def test_before_the_first_commit_everything_is_unknown(repository: Repository) -> None:
    repository.write("train.py", "print(1)\n")

    assert git_state(repository.root) == GitState()


def test_where_git_is_not_installed_everything_is_unknown(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))

    assert git_state(repository.root) == GitState()


def test_a_changed_file_makes_it_dirty_and_the_difference_restores_it(repository: Repository) -> None:
    repository.commit()
    repository.write("train.py", "print('two')\n")

    state = git_state(repository.root)

    assert state.dirty is True
    assert b"-print('one')\n+print('two')\n" in state.diff
    assert (repository.restored(state.diff) / "train.py").read_text(encoding="utf-8") == "print('two')\n"


def test_staged_new_and_deleted_files_are_in_the_difference(repository: Repository) -> None:
    repository.write("old.py", "old\n")
    repository.commit()
    (repository.root / "old.py").unlink()
    repository.write("staged.py", "staged\n")
    repository.git("add", "staged.py")
    repository.write("new stuff/features.py", "new\n")
    repository.write("ação.ipynb", "{}\n")

    copy = repository.restored(git_state(repository.root).diff)

    assert not (copy / "old.py").exists()
    assert (copy / "staged.py").read_text(encoding="utf-8") == "staged\n"
    assert (copy / "new stuff" / "features.py").read_text(encoding="utf-8") == "new\n"
    assert (copy / "ação.ipynb").read_text(encoding="utf-8") == "{}\n"


def test_binary_and_non_utf8_files_survive(repository: Repository) -> None:
    repository.write("logo.png", bytes(range(256)))
    repository.commit()
    repository.write("logo.png", bytes(reversed(range(256))))
    repository.write("latin.py", "s = 'não'\n".encode("latin-1"))

    state = git_state(repository.root)
    copy = repository.restored(state.diff)

    assert (copy / "logo.png").read_bytes() == bytes(reversed(range(256)))
    assert (copy / "latin.py").read_bytes() == "s = 'não'\n".encode("latin-1")
    entry = state.entry()
    assert isinstance(entry, dict)
    assert "s = 'n\ufffdo'" in entry["diff"]
    assert entry["diff_sha256"] == sha256_bytes(state.diff)


def test_the_index_of_the_user_is_left_alone(repository: Repository) -> None:
    repository.commit()
    repository.write("new.py", "new\n")
    before = (repository.root / ".git" / "index").read_bytes()

    git_state(repository.root)

    assert (repository.root / ".git" / "index").read_bytes() == before
    assert repository.git("status", "--porcelain").decode() == "?? new.py\n"


@pytest.mark.parametrize(
    "name", ["data.parquet", "people.csv", ".env", "runs/r1/train.ipynb", ".nbprod/a.json", "ignored.py"]
)
def test_data_secrets_and_what_nbprod_writes_are_no_source(repository: Repository, name: str) -> None:
    repository.write(".gitignore", "ignored.py\n")
    repository.commit()
    repository.write(name, "content\n")

    assert git_state(repository.root).dirty is False


def test_a_change_that_is_too_large_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FILE_MAX", 1000)
    repository.write("grew.py", "")
    repository.write("shrank.py", "x" * 2000)
    repository.commit()
    repository.write("grew.py", "x" * 2000)
    repository.write("shrank.py", "")
    repository.write("new.py", "x" * 2000)
    repository.write("train.py", "print('two')\n")

    state = git_state(repository.root)

    assert state.omitted == ("grew.py", "new.py", "shrank.py")
    assert state.diff.count(b"diff --git") == 1


def test_the_whole_difference_is_bounded(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "DIFF_MAX", 1000)
    repository.commit()
    for number in range(10):
        repository.write(f"f{number}.py", f"{number}" * 190 + "\n")

    state = git_state(repository.root)

    assert len(state.omitted) == 5
    assert state.diff.count(b"diff --git") == 5


def test_many_files_are_asked_in_parts(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BATCH", 3)
    repository.commit()
    for number in range(10):
        repository.write(f"f{number}.py", "x\n")

    assert git_state(repository.root).diff.count(b"diff --git") == 10


def test_only_the_project_counts_in_a_repository_of_many(repository: Repository) -> None:
    repository.write("project/train.py", "one\n")
    repository.write("other/work.py", "one\n")
    repository.commit()
    repository.write("other/work.py", "two\n")
    assert git_state(repository.root / "project").dirty is False

    repository.write("project/train.py", "two\n")
    repository.write("project/new.py", "new\n")
    state = git_state(repository.root / "project")

    assert state.dirty is True
    assert b"a/train.py" in state.diff
    assert b"b/new.py" in state.diff
    assert b"work.py" not in state.diff


def test_a_name_that_looks_like_a_pattern_means_itself(repository: Repository) -> None:
    repository.write("[a].py", "one\n")
    repository.write("a.py", "one\n")
    repository.commit()
    repository.write("[a].py", "two\n")
    repository.write(":(top)x.py", "new\n")

    state = git_state(repository.root)

    assert state.diff.count(b"diff --git") == 2
    assert b"a/a.py" not in state.diff


def test_the_remote_is_told_without_credentials(repository: Repository) -> None:
    repository.commit()
    repository.git("remote", "add", "origin", "https://me:token@example.org/team/repo.git")

    assert git_state(repository.root).remote == "https://example.org/team/repo.git"


def test_a_commit_without_a_branch_has_none(repository: Repository) -> None:
    commit = repository.commit()
    repository.git("checkout", "--quiet", "--detach")

    state = git_state(repository.root)

    assert (state.commit, state.branch) == (commit, "unknown")


def test_nothing_that_the_repository_configures_is_run(repository: Repository, tmp_path: Path) -> None:
    repository.commit()
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    script.chmod(0o755)
    for key in ("diff.external", "core.fsmonitor", "core.pager"):
        repository.git("config", key, str(script))
    repository.git("config", "diff.evil.textconv", str(script))
    repository.write(".gitattributes", "*.py diff=evil\n")
    repository.write("train.py", "print('two')\n")
    (tmp_path / "ran").unlink(missing_ok=True)

    state = git_state(repository.root)

    assert b"+print('two')" in state.diff
    assert not (tmp_path / "ran").exists()


def test_variables_of_another_repository_do_not_lead_astray(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    assert git_state(repository.root).commit == commit
