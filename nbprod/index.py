"""nbprod's own index: runs, finished stages, versions and remembered digests, in one SQLite file.

It answers ``plan``, ``runs``, ``models`` and ``show`` without a registry's client. It is never the only place: runs
are also written to ``runs/<run>/run.json`` and versions to the registry, so a lost or damaged index is rebuilt.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbprod.digest import Identity
from nbprod.entities import ModelVersion, Run, StageRun

SCHEMA_VERSION = 1
RUN_SCHEMA = "nbprod/run/1"
WAIT = 60.0
"""Seconds that a file in use is waited for."""

DAMAGED = (11, 26)
"""SQLite's codes for a file that is corrupt, and for one that is no database."""

TABLES = """
create table if not exists files (device int, inode int, size int, mtime int, ctime int, sha256 text,
    primary key (device, inode)) without rowid;
create table if not exists memory (name text primary key, text text) without rowid;
create table if not exists results (key text primary key, pipeline text, stage text, ended text, json text)
    without rowid;
create index if not exists results_by_stage on results (pipeline, stage, ended);
create table if not exists runs (id text primary key, pipeline text, started text, json text) without rowid;
create table if not exists versions (registry text, name text, version text, digest text, keys text, created text,
    json text, primary key (registry, name, version)) without rowid;
"""


def run_text(run: Run) -> str:
    """A run as it is written beside its files."""
    return json.dumps({"schema": RUN_SCHEMA, **run.to_dict()}, indent=1)


class Memory:
    """The SQLite file, and what is remembered in it by name or by a file's identity.

    Args:
        path: the file; its folder exists. One that is damaged, or of another version, is put aside as
            ``index.db.damaged``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self.fresh = not path.exists()
        if not self._open():
            self._db.close()
            path.replace(path.with_name(path.name + ".damaged"))
            for leftover in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
                leftover.unlink(missing_ok=True)
            self.fresh = True
            self._open()

    def _open(self) -> bool:
        """Open the file; False where it is damaged or of another version. One that is only in use is waited for."""
        self._db = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        try:
            (version,) = self._db.execute("pragma user_version").fetchone()
            if version not in (0, SCHEMA_VERSION):
                return False
            if version == 0:
                self._turn_to_wal()
                self._db.executescript(TABLES + f"pragma user_version={SCHEMA_VERSION};")
            self._db.execute("pragma synchronous=normal")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in DAMAGED:
                self._db.close()
                raise
            return False
        return True

    def _turn_to_wal(self) -> None:
        """Let others read while one writes. For this alone SQLite does not wait until the file is free, so we do."""
        end = time.monotonic() + WAIT
        while True:
            try:
                self._db.execute("pragma journal_mode=wal")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Several changes as one: all of them are kept, or none."""
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def recall(self, name: Identity | str) -> str | None:
        """What was remembered: the digest of an unchanged file, or a text by name."""
        if isinstance(name, str):
            rows = self._rows("select text from memory where name = ?", (name,))
        else:
            rows = self._rows(
                "select sha256 from files where device=? and inode=? and size=? and mtime=? and ctime=?", name
            )
        return rows[0][0] if rows else None

    def remember(self, name: Identity | str, text: str) -> None:
        """Keep the digest of a file, or a text by name."""
        if isinstance(name, str):
            self._rows("insert or replace into memory values (?, ?)", (name, text))
        else:
            self._rows("insert or replace into files values (?, ?, ?, ?, ?, ?)", (*name, text))


class Index(Memory):
    """The index of one project; safe to use from several processes, and from several threads of one.

    Args:
        path: as `Memory` takes it.
        runs: the folder of runs that it is rebuilt from when it is new.
    """

    def __init__(self, path: Path, runs: Path) -> None:
        super().__init__(path)
        if self.fresh:
            self._rebuild(runs)

    def _rebuild(self, runs: Path) -> None:
        with self.batch():
            for file in sorted(runs.glob("*/run.json")):
                try:
                    self.save_run(Run.from_dict(json.loads(file.read_text(encoding="utf-8"))))
                except (ValueError, KeyError, TypeError):
                    continue  # a run of another version of nbprod: its files stay, its results are not reused

    def result(self, key: str) -> StageRun | None:
        """The finished stage with this key."""
        rows = self._rows("select json from results where key = ?", (key,))
        return StageRun.from_dict(json.loads(rows[0][0])) if rows else None

    def last_result(self, pipeline: str, stage: str) -> StageRun | None:
        """The newest finished execution of a stage, whatever its key."""
        rows = self._rows(
            "select json from results where pipeline = ? and stage = ? order by ended desc limit 1", (pipeline, stage)
        )
        return StageRun.from_dict(json.loads(rows[0][0])) if rows else None

    def save_run(self, run: Run) -> None:
        """Keep a run as it stands, and its finished stages for reuse."""
        self._rows(
            "insert or replace into runs values (?, ?, ?, ?)",
            (run.id, run.pipeline, run.started, json.dumps(run.to_dict())),
        )
        for stage in run.stages:
            if stage.action == "run" and stage.status == "succeeded":
                self.save_result(stage)

    def save_result(self, stage: StageRun) -> None:
        """Keep a finished stage for reuse."""
        self._rows(
            "insert or replace into results values (?, ?, ?, ?, ?)",
            (stage.key, stage.pipeline, stage.stage, stage.ended, json.dumps(stage.to_dict())),
        )

    def forget(self, key: str) -> None:
        """Drop a finished stage whose bytes are gone."""
        self._rows("delete from results where key = ?", (key,))

    def run(self, run_id: str) -> Run | None:
        """One run."""
        rows = self._rows("select json from runs where id = ?", (run_id,))
        return Run.from_dict(json.loads(rows[0][0])) if rows else None

    def runs(self, limit: int = -1) -> list[Run]:
        """Runs, newest first."""
        rows = self._rows("select json from runs order by started desc, id desc limit ?", (limit,))
        return [Run.from_dict(json.loads(row[0])) for row in rows]

    def save_version(self, registry: str, version: ModelVersion) -> None:
        """Keep a version with its entry; aliases are not kept, since they move."""
        self._rows(
            "insert or replace into versions values (?, ?, ?, ?, ?, ?, ?)",
            (
                registry,
                version.name,
                version.version,
                version.digest,
                version.keys,
                version.created,
                json.dumps(version.to_dict()),
            ),
        )

    def versions(self, registry: str, name: str | None = None) -> list[ModelVersion]:
        """Known versions of a registry, newest first within a name."""
        rows = self._rows(
            "select json from versions where registry = ? and (? is null or name = ?) order by name, cast(version "
            "as int) desc",
            (registry, name, name),
        )
        return [ModelVersion.from_dict(json.loads(row[0])) for row in rows]

    def outlines(self, registry: str) -> list[ModelVersion]:
        """Known versions, each with what lineage needs of its entry: five times as fast as `versions`.

        That is ``run``, ``inputs``, ``parent``, of ``pipeline`` the name, of ``model`` stage, digest and size, and of
        ``metrics`` the stages.
        """
        rows = self._rows(
            "select json_extract(json, '$.name', '$.version', '$.digest', '$.run', '$.created'), json_extract(json, "
            "'$.entry.run', '$.entry.inputs', '$.entry.parent', '$.entry.pipeline.name', '$.entry.model.stage', "
            "'$.entry.model.sha256', '$.entry.model.bytes'), (select json_group_array(distinct json_extract(m.value, "
            "'$.stage')) from json_each(versions.json, '$.entry.metrics') m) from versions where registry = ? "
            "order by name, cast(version as int) desc",
            (registry,),
        )
        return [_outline(*map(json.loads, row)) for row in rows]

    def stage_runs(self) -> list[StageRun]:
        """Every execution of a stage that was begun, oldest first, with what it read and wrote but without metrics."""
        rows = self._rows(
            "select runs.id, json_extract(s.value, '$.stage', '$.notebook', '$.pipeline', '$.run', '$.status', "
            "'$.started', '$.inputs', '$.outputs') from runs, json_each(runs.json, '$.stages') s "
            "order by runs.started, runs.id"
        )
        names = ("stage", "notebook", "pipeline", "run", "status", "started", "inputs", "outputs")
        once: dict[tuple[str, str], dict[str, Any]] = {}
        for run, text in rows:
            item = dict(zip(names, json.loads(text), strict=True))
            item["run"] = item["run"] or run
            if item["status"] != "skipped":
                once.setdefault((item["run"], item["stage"]), item)  # not its reuses in later runs
        return [StageRun.from_dict(item) for item in once.values()]

    def version_of_keys(self, registry: str, name: str, keys: str) -> ModelVersion | None:
        """The newest version of a model that was made from the same keys."""
        for version in self.versions(registry, name):
            if version.keys == keys:
                return version
        return None


def _outline(facts: list[Any], parts: list[Any], stages: list[str]) -> ModelVersion:
    """A version of what was read of it; see `Index.outlines`."""
    run, inputs, parent, pipeline, stage, sha256, size = parts
    entry = {
        "run": run,
        "inputs": inputs,
        "parent": parent,
        "pipeline": {"name": pipeline},
        "model": {"stage": stage, "sha256": sha256, "bytes": size},
        "metrics": [{"stage": name} for name in stages],
    }
    names = ("name", "version", "digest", "run", "created")
    return ModelVersion(**dict(zip(names, facts, strict=True)), entry=entry)
