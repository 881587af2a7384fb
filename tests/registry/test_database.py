"""A local registry's database."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nbprod.entities import Statement
from nbprod.errors import ArtifactError, RegistryError
from nbprod.registry.auditing import ERASURES, append_local, local_folder
from nbprod.registry.database import (
    cache_folder,
    local_aliases,
    local_head,
    local_lines,
    local_path,
    local_statements,
    mlflow_version,
    prepare,
)
from nbprod.registry.statements import STATEMENTS, statement_bytes, statement_name

TABLES = """
create table alembic_version (version_num text);
insert into alembic_version values ('abc');
create table runs (run_uuid text);
create table experiments (
    experiment_id integer, artifact_location text, creation_time int, last_update_time int, name text
);
insert into experiments values (0, '/somewhere/else', 0, 0, 'Default');
create table registered_model_aliases (alias text, version integer, name text);
create table registered_model_tags (key text, value text, name text);
create table model_versions (name text, version integer, source text, storage_location text);
create table experiment_tags (key text, value text, experiment_id integer);
"""


class Maker:
    """Stands for MLflow: makes the tables and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, path: Path) -> None:
        """Make them."""
        self.made += 1
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(TABLES)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nbprod"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query finds."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_only_a_sqlite_uri_has_a_file() -> None:
    assert local_path("sqlite:////a/mlflow.db") == Path("/a/mlflow.db")
    assert local_path("sqlite:///a.db?timeout=3") == Path("a.db")
    assert local_path("sqlite:///:memory:") is None
    assert local_path("https://example.org") is None


def test_the_second_project_copies_what_was_made_for_the_first(cache: Path, tmp_path: Path) -> None:
    make = Maker()

    for name in ("one", "two"):
        prepare(tmp_path / name / "mlflow.db", tmp_path / name / "artifacts", make)

    assert make.made == 1
    assert [file.name for file in cache.iterdir()] == [f"mlflow-{mlflow_version()}.db"]


def test_each_project_has_its_own_place_for_artifacts(cache: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "one" / "mlflow.db", tmp_path / "one" / "artifacts", Maker())

    found = rows(tmp_path / "one" / "mlflow.db", "select artifact_location, creation_time > 0 from experiments")

    assert found == [((tmp_path / "one" / "artifacts" / "0").as_uri(), 1)]


def test_a_database_that_is_there_is_left_alone(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"somebody's")

    prepare(path, tmp_path / "artifacts", Maker())

    assert path.read_bytes() == b"somebody's"


def test_an_empty_file_is_no_database(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()

    prepare(path, tmp_path / "artifacts", Maker())

    assert rows(path, "select version_num from alembic_version") == [("abc",)]


@pytest.mark.parametrize("damage", ["cut", "text", "used"])
def test_a_damaged_or_used_template_is_made_anew(cache: Path, tmp_path: Path, damage: str) -> None:
    make = Maker()
    prepare(tmp_path / "one.db", tmp_path, make)
    template = cache / f"mlflow-{mlflow_version()}.db"
    if damage == "used":
        with closing(sqlite3.connect(template)) as connection, connection:
            connection.execute("insert into runs values ('somebody')")
    else:
        template.write_bytes(template.read_bytes()[:3000] if damage == "cut" else b"not a database")

    prepare(tmp_path / "two.db", tmp_path, make)

    assert make.made == 2
    assert rows(tmp_path / "two.db", "select count(*) from runs") == [(0,)]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    prepare(tmp_path / "mlflow.db", tmp_path, Maker())

    assert rows(tmp_path / "mlflow.db", "select count(*) from runs") == [(0,)]


def test_a_user_without_a_home_has_a_database_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    prepare(tmp_path / "mlflow.db", tmp_path, Maker())

    assert (tmp_path / "mlflow.db").stat().st_size > 0


def test_several_at_once_all_find_one_whole_database(cache: Path, tmp_path: Path) -> None:
    path, wrong = tmp_path / "mlflow.db", []

    def work() -> None:
        prepare(path, tmp_path, Maker())
        if rows(path, "select count(*) from runs") != [(0,)]:
            wrong.append(path)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    left = sorted(file.name for file in tmp_path.iterdir() if file.is_file())
    assert [name for name in left if not name.endswith(".lock")] == ["mlflow.db"]


def test_a_folder_that_cannot_be_made_is_said(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(RegistryError, match="check the folder's permissions") as refused:
        prepare(tmp_path / "file" / "mlflow.db", tmp_path, Maker())
    assert refused.value.file == str(tmp_path / "file" / "mlflow.db")


def test_the_cache_is_where_the_system_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / ".cache" / "nbprod"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "nbprod"


def test_aliases_are_read_without_mlflow(cache: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "mlflow.db", tmp_path, Maker())
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("insert into registered_model_aliases values ('champion', 3, 'churn')")

    assert local_aliases(tmp_path / "mlflow.db") == {"churn": {"champion": "3"}}


def audited(path: Path, location: str) -> None:
    """A registry whose audit logs lie at a place."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into experiments values (7, ?, 0, 0, 'nbprod-audit')", (location,))


def test_the_audit_log_is_read_without_mlflow(cache: Path, tmp_path: Path) -> None:
    path, location = tmp_path / "mlflow.db", (tmp_path / "a b").as_uri()
    prepare(path, tmp_path, Maker())
    assert (local_lines(path, "churn"), local_head(path, "churn")) == ((), "")
    audited(path, location)
    folder = local_folder(location, "churn")
    assert folder == tmp_path / "a b" / "churn"
    append_local(folder, "churn", 1, "one")
    append_local(folder, "churn", 2, "two")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into registered_model_tags values ('nbprod.audit.head', '2:abc', 'churn')")

    assert local_lines(path, "churn") == ("one", "two")
    assert local_head(path, "churn") == "2:abc"
    assert (local_lines(path, "fraud"), local_head(path, "fraud")) == ((), "")


def test_the_log_of_erasures_is_noted_on_the_experiment(cache: Path, tmp_path: Path) -> None:
    path, location = tmp_path / "mlflow.db", (tmp_path / "audit").as_uri()
    prepare(path, tmp_path, Maker())
    assert local_head(path, ERASURES) == ""
    audited(path, location)
    append_local(tmp_path / "audit" / "%3Aerasures", ERASURES, 1, "one")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into experiment_tags values ('nbprod.audit.head', '1:abc', 7)")

    assert (local_lines(path, ERASURES), local_head(path, ERASURES)) == (("one",), "1:abc")


def test_a_log_that_lies_on_a_store_is_left_to_mlflow(cache: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "mlflow.db", tmp_path, Maker())
    audited(tmp_path / "mlflow.db", "s3://bucket/audit")

    assert local_lines(tmp_path / "mlflow.db", "churn") is None


def test_a_registry_that_was_never_used_has_no_aliases_and_no_log(tmp_path: Path) -> None:
    assert local_aliases(tmp_path / "nothing.db") == {}
    assert local_lines(tmp_path / "nothing.db", "churn") == ()
    assert local_head(tmp_path / "nothing.db", "churn") == ""
    assert not (tmp_path / "nothing.db").exists()


def write_text(path: Path) -> None:
    """Something that is no database."""
    path.write_text("no database at all, but long enough to be read as one" * 50, encoding="utf-8")


def make_other_table(path: Path) -> None:
    """A database of something else."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table registered_model_aliases (who text)")


@pytest.mark.parametrize("make", [write_text, make_other_table])
def test_a_table_that_is_not_as_expected_is_left_to_mlflow(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "mlflow.db")

    assert local_aliases(tmp_path / "mlflow.db") is None
    assert local_lines(tmp_path / "mlflow.db", "churn") is None
    assert local_head(tmp_path / "mlflow.db", "churn") is None


def versions(path: Path, *places: tuple[str | None, str | None]) -> None:
    """A registry whose versions lie at these places: source, and storage location."""
    Maker()(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, place in enumerate(places, 1):
            connection.execute("insert into model_versions values ('churn', ?, ?, ?)", (number, *place))


def state(folder: Path, *made: Statement) -> None:
    """Write statements beside the version whose folder that is."""
    beside = folder.parent / STATEMENTS
    beside.mkdir(parents=True)
    for statement in made:
        (beside / statement_name(statement)).write_bytes(statement_bytes(statement))


def test_the_statements_beside_a_version_are_read_without_mlflow_by_their_time(tmp_path: Path) -> None:
    first, second = (Statement(schema=f"nbprod/{i}/1", subject="d", created=f"2026-01-0{i}") for i in (1, 2))
    at, older = tmp_path / "a b" / "model", tmp_path / "older" / "model"
    versions(tmp_path / "mlflow.db", ("models:/m-1", at.as_uri()), (str(older), None), (at.parent.as_uri(), None))
    state(at, second, first)
    state(older, first)
    assert local_statements(tmp_path / "mlflow.db", "churn", "1") == (first, second)
    assert local_statements(tmp_path / "mlflow.db", "churn", "2") == (first,)
    assert local_statements(tmp_path / "mlflow.db", "churn", "3") == ()


def test_a_version_that_lies_elsewhere_is_left_to_mlflow(tmp_path: Path) -> None:
    versions(tmp_path / "mlflow.db", ("s3://bucket/model", None), ("models:/m-1", None), ("file://host/a/model", None))
    for number in ("1", "2", "3", "4"):
        assert local_statements(tmp_path / "mlflow.db", "churn", number) is None
    assert local_statements(tmp_path / "none.db", "churn", "1") is None


def test_a_statement_that_was_changed_is_an_error(tmp_path: Path) -> None:
    at = tmp_path / "a" / "model"
    versions(tmp_path / "mlflow.db", (str(at), None))
    state(at, Statement(schema="nbprod/gates/1", subject="d"))
    (file,) = (at.parent / STATEMENTS).iterdir()
    file.write_bytes(file.read_bytes().replace(b"gates", b"hates"))
    with pytest.raises(ArtifactError, match="is not the one that was written"):
        local_statements(tmp_path / "mlflow.db", "churn", "1")
