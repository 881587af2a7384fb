"""The store: what goes in comes out, whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from nbprod.digest import sha256_bytes, sha256_path
from nbprod.entities import Artifact
from nbprod.errors import ArtifactError
from nbprod.store import LocalObjects, RemoteObjects, Store, remove, write_text, written_whole
from tests.fakes import FakeMemory


def artifact(path: Path) -> Artifact:
    """What a run would say of a file or folder."""
    kind = "folder" if path.is_dir() else "file"
    return Artifact(name="data", uri=path.name, sha256=sha256_path(path), size=0, kind=kind)  # type: ignore[arg-type]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(folder: Path) -> list[str]:
    """All files under a folder, relative to it."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "code").mkdir(parents=True)
    (made / "MLmodel").write_text("flavors: {}")
    (made / "code" / "line\u2028break.py").write_text("x = 1")
    return made


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store in a folder, and one behind fsspec."""
    if request.param == "local":
        yield Store(str(tmp_path / "store"), FakeMemory())
        return
    fsspec.filesystem("memory").makedirs("/bucket")
    yield Store("memory://bucket/store", FakeMemory())
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path / 'store'}", FakeMemory())


@pytest.fixture
def plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is root, and no file system makes reflinks: files are shared by hard links."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("nbprod.store._reflink", lambda source, target: False)


def object_of(store: Store, sha256: str) -> Path:
    """Where a local store keeps an object."""
    assert isinstance(store.objects, LocalObjects)
    return store.objects.path(sha256)


def test_a_file_goes_in_and_comes_out(store: Store, file: Path, tmp_path: Path) -> None:
    assert store.keep(file) == sha256_bytes(b"a,b\n1,2\n")
    store.place(artifact(file), tmp_path / "out" / "again.csv")
    assert (tmp_path / "out" / "again.csv").read_bytes() == file.read_bytes()


def test_a_folder_goes_in_and_comes_out(store: Store, folder: Path, tmp_path: Path) -> None:
    assert store.keep(folder) == sha256_path(folder)
    store.place(artifact(folder), tmp_path / "out" / "model")
    assert everything(tmp_path / "out" / "model") == everything(folder)
    assert sha256_path(tmp_path / "out" / "model") == sha256_path(folder)


def test_what_comes_out_is_read_only(store: Store, file: Path, folder: Path, tmp_path: Path) -> None:
    store.keep(file)
    store.keep(folder)
    store.place(artifact(file), tmp_path / "out.csv")
    store.place(artifact(folder), tmp_path / "out")
    assert (mode(tmp_path / "out.csv"), mode(tmp_path / "out" / "MLmodel")) == (0o444, 0o444)


def test_keeping_leaves_the_source_as_it_is(store: Store, file: Path, folder: Path) -> None:
    before = {path: path.stat() for path in (file, folder / "MLmodel")}
    store.keep(file)
    store.keep(folder)
    for path, was in before.items():
        now = path.stat()
        assert (now.st_mode, now.st_mtime_ns, now.st_ino, now.st_nlink) == (
            was.st_mode, was.st_mtime_ns, was.st_ino, was.st_nlink,
        )  # fmt: skip


def test_adopting_makes_the_source_read_only(store: Store, file: Path, folder: Path) -> None:
    assert store.adopt(file) == sha256_path(file)
    assert store.adopt(folder) == sha256_path(folder)
    assert (mode(file), mode(folder / "MLmodel")) == (0o444, 0o444)


def test_keeping_twice_keeps_once(store: Store, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(file.read_bytes())
    assert store.keep(file) == store.keep(other) == store.adopt(other)


def test_a_store_holds_what_was_kept_and_nothing_else(store: Store, file: Path, folder: Path) -> None:
    assert not store.holds(artifact(file))
    assert not store.holds(artifact(folder))
    store.keep(file)
    store.keep(folder)
    assert store.holds(artifact(file))
    assert store.holds(artifact(folder))


def test_a_folder_with_a_lost_member_is_not_held(store: Store, folder: Path) -> None:
    store.keep(folder)
    lost = sha256_bytes(b"flavors: {}")
    if isinstance(store.objects, RemoteObjects):
        store.objects.files.rm(store.objects.path(lost))
    else:
        object_of(store, lost).unlink()
    assert not store.holds(artifact(folder))


def test_placing_what_is_not_held_is_an_error_that_leaves_nothing(store: Store, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        store.place(artifact(file), tmp_path / "out" / "data.csv")
    assert caught.value.message == (
        f"the store does not hold {sha256_path(file)[:12]}: run the stage that makes it with --force."
    )
    assert not (tmp_path / "out" / "data.csv").exists()


def test_placing_replaces_what_is_there(store: Store, file: Path, folder: Path, tmp_path: Path) -> None:
    store.keep(file)
    store.keep(folder)
    target = tmp_path / "target"
    for item in (file, folder, file):
        store.place(artifact(item), target)
        assert sha256_path(target) == sha256_path(item)


def test_a_damaged_object_is_found_taken_out_and_reported(local: Store, file: Path, tmp_path: Path) -> None:
    sha256 = local.keep(file)
    kept = object_of(local, sha256)
    kept.chmod(0o644)
    kept.write_text("other")
    with pytest.raises(ArtifactError) as caught:
        local.place(artifact(file), tmp_path / "out.csv")
    assert str(caught.value) == (
        f"{kept}: its bytes were changed after it was stored, so it was taken out: "
        "run again, the stage that makes it will rerun."
    )
    assert not (tmp_path / "out.csv").exists()
    assert not local.holds(artifact(file))


def test_a_folder_whose_listing_is_damaged_is_not_held(local: Store, folder: Path) -> None:
    kept = object_of(local, local.keep(folder))
    kept.chmod(0o644)
    kept.write_text("other")
    assert not local.holds(artifact(folder))


def test_a_damaged_object_of_a_remote_store_is_reported(file: Path, tmp_path: Path) -> None:
    store = Store("memory://damaged/store", FakeMemory())
    sha256 = store.keep(file)
    assert isinstance(store.objects, RemoteObjects)
    store.objects.files.pipe_file(store.objects.path(sha256), b"other")
    with pytest.raises(
        ArtifactError, match=f"the store's bytes are not {sha256[:12]}: delete that object and run again"
    ):
        store.place(artifact(file), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("url", ["folder", "memory://changing/store"])
def test_a_file_that_changes_while_it_is_copied_is_not_kept(
    url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(url if "://" in url else str(tmp_path / url), FakeMemory())
    before = artifact(file)

    def measured_then_changed(path: Path, memory: object) -> str:
        path.write_text("changed")
        return before.sha256

    monkeypatch.setattr("nbprod.store.remembered_sha256", measured_then_changed)
    with pytest.raises(ArtifactError, match="changed while it was being copied: run again when nobody writes to it"):
        store.keep(file)
    assert not store.holds(before)


def test_files_are_shared_by_hard_links_where_that_is_safe(
    plain_user: None, local: Store, file: Path, tmp_path: Path
) -> None:
    kept = object_of(local, local.adopt(file))
    local.place(artifact(file), tmp_path / "out.csv")
    assert kept.stat().st_ino == file.stat().st_ino == (tmp_path / "out.csv").stat().st_ino


def test_roots_files_are_copies_since_root_may_write_to_read_only_files(
    monkeypatch: pytest.MonkeyPatch, local: Store, file: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("nbprod.store._reflink", lambda source, target: False)
    kept = object_of(local, local.adopt(file))
    local.place(artifact(file), tmp_path / "out.csv")
    assert len({kept.stat().st_ino, file.stat().st_ino, (tmp_path / "out.csv").stat().st_ino}) == 3


def test_somebody_elses_file_is_never_shared_by_a_hard_link(plain_user: None, local: Store, file: Path) -> None:
    kept = object_of(local, local.keep(file))
    assert kept.stat().st_ino != file.stat().st_ino


def test_where_hard_links_are_impossible_files_are_copied(
    plain_user: None, monkeypatch: pytest.MonkeyPatch, local: Store, file: Path, tmp_path: Path
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    local.adopt(file)
    local.place(artifact(file), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == file.read_bytes()


def test_what_is_placed_to_be_edited_is_writable_and_not_shared_with_the_store(
    plain_user: None, local: Store, file: Path, tmp_path: Path
) -> None:
    local.adopt(file)
    local.place_copy(artifact(file), tmp_path / "out.csv")
    (tmp_path / "out.csv").write_text("edited")
    local.place(artifact(file), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == "a,b\n1,2\n"


class Stop(Exception):
    """A process dies here."""


def test_a_write_that_is_interrupted_leaves_no_name_that_counts(tmp_path: Path) -> None:
    with pytest.raises(Stop), written_whole(tmp_path / "out" / "data.csv") as part:
        part.write_text("half")
        raise Stop
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_that_is_killed_while_it_writes_leaves_no_name_that_counts(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with written_whole(tmp_path / "out" / "data.csv") as part:
            part.write_text("half")
            os._exit(9)
    os.waitpid(child, 0)
    assert not (tmp_path / "out" / "data.csv").exists()
    write_text(tmp_path / "out" / "data.csv", "whole")
    assert (tmp_path / "out" / "data.csv").read_text() == "whole"


def test_what_is_written_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "data.csv"
    target.write_text("old")
    with written_whole(target) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert everything(tmp_path) == ["data.csv"]


def test_an_interrupted_upload_leaves_no_name_that_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("memory://interrupted/store", FakeMemory())
    assert isinstance(store.objects, RemoteObjects)

    def die(*arguments: object) -> None:
        raise Stop

    monkeypatch.setattr(type(store.objects.files), "mv", die)
    with pytest.raises(Stop):
        store.keep(file)
    assert not store.holds(artifact(file))
    assert store.objects.files.find("/interrupted") == []


def test_threads_that_keep_the_same_bytes_at_once_do_not_disturb_each_other(store: Store, file: Path) -> None:
    failures: list[Exception] = []
    together = threading.Barrier(4)

    def keep() -> None:
        try:
            together.wait(20)
            store.keep(file)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.holds(artifact(file))


def test_removing_takes_read_only_folders_away(folder: Path) -> None:
    (folder / "code").chmod(0o555)
    folder.chmod(0o555)
    remove(folder)
    assert not folder.exists()


def test_removing_a_folder_leaves_what_it_links_to_alone(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "data").write_text("mine")
    (folder / "link").symlink_to(outside)
    remove(folder)
    assert not folder.exists()
    assert (mode(outside), (outside / "data").read_text()) == (0o700, "mine")


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_a_measure_is_the_digest_and_the_size(store: Store, file: Path, folder: Path) -> None:
    assert store.measure(file) == (sha256_path(file), 8)
    assert store.measure(folder) == (sha256_path(folder), len("flavors: {}") + len("x = 1"))
