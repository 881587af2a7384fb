"""The SQLite database of a local MLflow registry: made from a template, and read without MLflow where that is enough.

MLflow needs 2.7 to 7.6 seconds to make its tables, so they are made once per user and MLflow version, kept in the
user's cache, and copied. Whatever is wrong with the cache only costs time.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nbprod.entities import Statement
from nbprod.errors import RegistryError
from nbprod.registry.auditing import ERASURES, EXPERIMENT, HEAD_TAG, local_folder, read_local
from nbprod.registry.statements import STATEMENTS, read_file

PREFIX = "sqlite:///"
Make = Callable[[Path], None]


def local_path(uri: str) -> Path | None:
    """The file of a ``sqlite:///`` URI; None for another registry."""
    text = uri.removeprefix(PREFIX).partition("?")[0] if uri.startswith(PREFIX) else ""
    return Path(text) if text and text != ":memory:" else None


def local_aliases(path: Path) -> dict[str, dict[str, str]] | None:
    """Model -> alias -> version, by one query on MLflow's table; None if it is not as expected: ask MLflow then."""
    rows = _select(path, "select name, alias, version from registered_model_aliases", ())
    if rows is None:
        return None
    found: dict[str, dict[str, str]] = {}
    for name, alias, version in rows:
        found.setdefault(str(name), {})[str(alias)] = str(version)
    return found


def local_head(path: Path, name: str) -> str | None:
    """What the registry notes of the last line of a model's audit log; None if its tables are not as expected."""
    query = "select value from registered_model_tags where name = ? and key = ?"
    if name == ERASURES:
        name = EXPERIMENT
        query = (
            "select t.value from experiment_tags t join experiments e on e.experiment_id = t.experiment_id"
            " where e.name = ? and t.key = ?"
        )
    rows = _select(path, query, (name, HEAD_TAG))
    return None if rows is None else str(rows[0][0]) if rows else ""


def local_lines(path: Path, name: str) -> tuple[str, ...] | None:
    """The lines of a model's audit log, read without MLflow; None where that is not enough."""
    rows = _select(path, "select artifact_location from experiments where name = ?", (EXPERIMENT,))
    if rows is None:
        return None
    if not rows:
        return ()
    folder = local_folder(str(rows[0][0]), name)
    return None if folder is None else read_local(folder)


def local_version(path: Path, name: str, version: str) -> Path | None:
    """The folder of a version in a local registry; None where MLflow must be asked."""
    folder = _place(path, name, version)
    return folder if folder is not None and folder.is_dir() else None


def local_statements(path: Path, name: str, version: str) -> tuple[Statement, ...] | None:
    """The statements beside a version, by the time they were made, read without MLflow; None where that is not enough.

    Raises:
        ArtifactError: one was changed, or is damaged.
    """
    folder = _place(path, name, version)
    if folder is None:
        return None
    found = [read_file(file) for file in (folder.parent / STATEMENTS).glob("*.json")]
    return tuple(sorted(found, key=lambda statement: statement.created))


def _place(path: Path, name: str, version: str) -> Path | None:
    """Where a version's folder is said to be, or none where that is not on this machine, or unknown."""
    query = "select coalesce(storage_location, source) from model_versions where name = ? and version = ?"
    rows = _select(path, query, (name, version))
    if not rows or not rows[0][0]:
        return None
    parts = urlsplit(str(rows[0][0]))
    if parts.scheme not in ("", "file") or parts.netloc:
        return None
    return Path(unquote(parts.path) if parts.scheme else str(rows[0][0]))


def _select(path: Path, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]] | None:
    """The rows that a query finds in MLflow's database, or none where there is no database; None if it fails."""
    if not _there(path):
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.Error:
        return None


def prepare(path: Path, artifacts: Path, make: Make) -> None:
    """Make a registry's database if there is none; it appears whole, and two processes may try at once.

    Args:
        artifacts: where MLflow's default experiment keeps its files.
        make: has MLflow make its tables in a new file; not called while there is a template.

    Raises:
        RegistryError: its folder cannot be written.
    """
    if _there(path):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(path.parent) as part:
            part.write_bytes(_template(make))
            _settle(part, artifacts)
            _appear(part, path)
    except OSError as error:
        raise RegistryError(
            f"the registry's database cannot be made ({error.strerror or error}): check the folder's permissions.",
            file=str(path),
        ) from error


def _there(path: Path) -> bool:
    """Whether there is a database; an empty file is what a mere look with SQLite leaves."""
    return path.exists() and path.stat().st_size > 0


def cache_folder() -> Path:
    """Where this user keeps caches on this system."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "nbprod"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "nbprod"


def mlflow_version() -> str:
    """The installed version of MLflow, which is not imported for it."""
    from importlib.metadata import PackageNotFoundError, version

    for name in ("mlflow-skinny", "mlflow"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    raise RegistryError("MLflow is not installed: pip install mlflow.")


def _template(make: Make) -> bytes:
    """A database as MLflow makes it, from the cache or made now and kept there."""
    try:
        kept = cache_folder() / f"mlflow-{mlflow_version()}.db"
        if (found := _sound(kept)) is not None:
            return found
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return _made(make)
    made = _made(make)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(kept.parent) as part:
            part.write_bytes(made)
            os.replace(part, kept)
    except OSError:
        pass  # a cache that cannot be written is slow, not wrong
    return made


def _sound(path: Path) -> bytes | None:
    """A template's bytes if it is a whole database of MLflow's without runs, else None."""
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            whole = database.execute("pragma integrity_check").fetchall() == [("ok",)]
            migrated = database.execute("select count(*) from alembic_version").fetchone() == (1,)
            empty = database.execute("select count(*) from runs").fetchone() == (0,)
            experiments = database.execute("select experiment_id from experiments").fetchall() == [(0,)]
    except sqlite3.Error:
        return None
    return path.read_bytes() if whole and migrated and empty and experiments else None


def _made(make: Make) -> bytes:
    with tempfile.TemporaryDirectory(prefix="nbprod-") as folder:
        path = Path(folder, "mlflow.db")
        make(path)
        return path.read_bytes()


def _settle(path: Path, artifacts: Path) -> None:
    """Tell a fresh copy where its artifacts are, and since when it exists."""
    now = int(time.time() * 1000)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "update experiments set artifact_location = ?, creation_time = ?, last_update_time = ?"
            " where experiment_id = 0",
            ((artifacts / "0").absolute().as_uri(), now, now),
        )


def _appear(part: Path, path: Path) -> None:
    """Give a whole file its name unless somebody else was first."""
    from filelock import FileLock

    with FileLock(path.with_name(f".{path.name}.lock")):
        if not _there(path):
            os.replace(part, path)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A path for a file that is gone when the block ends."""
    # Not mkstemp: its file would be readable for this user only, however the project is shared.
    path = folder / f".new-{secrets.token_hex(8)}.db"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
