"""The journal: ids, round trips, and what a full disk leaves."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.errors import DeployError, JournalFull
from nbprod.predictions.frames import HEAD_MARK, head_of
from nbprod.predictions.journal import ROLES, SCHEMA, Damage, Journal, Record, decode, encode, records
from nbprod.predictions.reading import parse_id
from nbprod.predictions.segments import SegmentName, closed, name_of, repair, segments_in
from tests.predictions.made import journal, record, written

ANY = st.builds(
    Record,
    request=st.text(max_size=40),
    time=st.floats(allow_nan=False),
    version=st.text(max_size=10),
    role=st.sampled_from(ROLES),
    inputs=st.binary(max_size=60),
    outputs=st.binary(max_size=60),
    rows=st.integers(0, 2**32 - 1),
    latency=st.floats(allow_nan=False),
    key=st.text(max_size=10),
)


def read(folder: Path) -> list[Record | Damage]:
    return [item for path in segments_in(folder) for item in records(path.read_bytes())]


@given(ANY)
def test_a_record_is_read_as_it_was_written(one: Record) -> None:
    data = encode(one)
    assert decode(data, 0, len(data)) == one


def test_records_written_in_batches_are_read_in_order(tmp_path: Path) -> None:
    log = journal(tmp_path)
    made = [record(log.next_id()) for _ in range(5)]
    log.write(made[:2])
    log.write([])
    log.write(made[2:])
    assert read(tmp_path) == made  # while it is still written
    log.close()
    assert read(tmp_path) == made


def test_a_file_of_the_first_schema_is_read(tmp_path: Path) -> None:
    """Written down once; it must be read for ever."""
    kept = bytes.fromhex(
        "ff4e48fe2e0000007b22736368656d61223a20226e6270726f642f70726564696374696f6e732f31222c2022666972737422"
        "3a20317d3239f183ff4e50fe27000000000000000000f83f000000000000d03f01000000020000000500030101722d31376b"
        "7b7d5b315d58bd52c8"
    )
    path = tmp_path / "0123456789abcdef-0-0.journal"
    path.write_bytes(kept)
    assert head_of(kept)[0] == {"schema": "nbprod/predictions/1", "first": 1}
    assert read(tmp_path) == [
        Record(
            request="r-1", time=1.5, version="7", role="shadow", inputs=b"{}", outputs=b"[1]", rows=1, latency=0.25,
            key="k",
        )
    ]  # fmt: skip


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = journal(tmp_path)
    sizes = []
    write = os.writev

    def counted(file: int, parts: Sequence[bytes]) -> int:
        sizes.append(sum(map(len, parts)))
        return write(file, parts)

    monkeypatch.setattr(os, "writev", counted)
    batch = [record(log.next_id()) for _ in range(64)]
    log.write(batch)
    assert sizes == [sum(len(encode(item)) for item in batch)]


def test_an_id_names_boot_worker_segment_and_sequence(tmp_path: Path) -> None:
    log = journal(tmp_path, worker=3)
    (path,) = segments_in(tmp_path)
    segment = name_of(path.name)
    assert segment is not None
    assert (segment.worker, segment.segment) == (3, 0)
    assert [parse_id(log.next_id()) for _ in range(2)] == [(segment, 1), (segment, 2)]
    head, _ = head_of(path.read_bytes())
    assert {key: head[key] for key in ("schema", "model", "boot", "worker", "segment", "first")} == {
        "schema": SCHEMA, "model": "churn", "boot": segment.boot, "worker": 3, "segment": 0, "first": 1,
    }  # fmt: skip


def test_ids_from_many_threads_are_all_different(tmp_path: Path) -> None:
    log = journal(tmp_path)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend([log.next_id() for _ in range(500)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2000


def test_a_new_journal_never_appends_to_an_old_file(tmp_path: Path) -> None:
    written(tmp_path, {})
    before = {path: path.read_bytes() for path in segments_in(tmp_path)}
    written(tmp_path, {})
    assert len(segments_in(tmp_path)) == 2
    assert {path: path.read_bytes() for path in before} == before


def test_a_journal_that_wrote_nothing_leaves_no_file(tmp_path: Path) -> None:
    journal(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_is_followed_by_the_next_when_it_is_large(tmp_path: Path) -> None:
    log = journal(tmp_path, segment_bytes=600)
    made = []
    for _ in range(10):
        made.append(record(log.next_id()))
        log.write(made[-1:])
    numbers = [name.segment for path in segments_in(tmp_path) if (name := name_of(path.name))]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 2
    assert all(path.stat().st_size <= 600 for path in segments_in(tmp_path))
    assert read(tmp_path) == made


def test_a_batch_that_is_larger_than_a_segment_is_written_whole(tmp_path: Path) -> None:
    log = journal(tmp_path, segment_bytes=100)
    made = [record(log.next_id()) for _ in range(3)]
    log.write(made)
    log.write(made)
    assert read(tmp_path) == made * 2


def test_a_segment_that_is_old_or_asked_for_is_followed_by_the_next(tmp_path: Path) -> None:
    log = journal(tmp_path, segment_seconds=0.0)
    log.rotate()
    log.write([record(log.next_id())])
    assert len(segments_in(tmp_path)) == 1  # empty ones are not followed
    log.write([record(log.next_id())])
    assert len(segments_in(tmp_path)) == 2
    log.rotate()
    assert len(segments_in(tmp_path)) == 3


def test_only_the_segment_that_is_written_is_locked(tmp_path: Path) -> None:
    log = journal(tmp_path)
    log.write([record(log.next_id())])
    log.rotate()
    first, second = segments_in(tmp_path)
    with closed(first) as file:
        assert file is not None
    with closed(second) as file:
        assert file is None
    log.write([record(log.next_id())])
    log.close()
    with closed(second) as file:
        assert file is not None


def test_only_the_owner_may_read_a_segment(tmp_path: Path) -> None:
    written(tmp_path, {})
    assert [stat.S_IMODE(path.stat().st_mode) for path in segments_in(tmp_path)] == [0o600]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("part", [0, 1, 100])
def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, part: int
) -> None:
    log = journal(tmp_path)
    made = [record(log.next_id()) for _ in range(6)]
    log.write(made[:2])
    write = os.writev
    calls = []

    def full(file: int, parts: Sequence[bytes]) -> int:
        calls.append(parts)
        if part and len(calls) == 1:
            return write(file, [b"".join(parts)[:part]])
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(JournalFull, match="cannot be written") as caught:
            log.write(made[2:4])
    assert isinstance(caught.value, DeployError)
    log.write(made[4:])
    log.close()
    assert read(tmp_path) == made[:2] + made[4:]


def test_where_what_was_written_cannot_be_taken_back_a_new_segment_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = journal(tmp_path)
    made = [record(log.next_id()) for _ in range(2)]
    write = os.writev

    calls = iter([True])

    def torn(file: int, parts: Sequence[bytes]) -> int:
        return write(file, [b"".join(parts)[:50]]) if next(calls, False) else broken()

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", torn)
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(JournalFull):
            log.write(made[:1])
    log.write(made[1:])
    assert [item for item in read(tmp_path) if isinstance(item, Record)] == made[1:]
    assert len(segments_in(tmp_path)) == 2


def test_a_sync_that_fails_is_no_success_and_goes_on_in_a_new_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = journal(tmp_path, fsync="batch")

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("nbprod.predictions.segments.sync_data", broken)
        with pytest.raises(JournalFull):
            log.write([record(log.next_id())])
    made = [record(log.next_id())]
    log.write(made)
    assert read(tmp_path) == made
    assert len(segments_in(tmp_path)) == 2


@pytest.fixture
def small_files() -> Iterator[int]:
    """No file of this process may be larger than this."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    yield 4000
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_may_not_grow_holds_whole_batches_only(tmp_path: Path, small_files: int) -> None:
    log = journal(tmp_path)
    kept: list[Record] = []
    with pytest.raises(JournalFull, match="File too large"):
        for _ in range(100):
            batch = [record(log.next_id()) for _ in range(3)]
            log.write(batch)
            kept += batch
    assert kept
    assert read(tmp_path) == kept
    assert segments_in(tmp_path)[0].stat().st_size < small_files


def test_the_limit_refuses_until_there_is_room(tmp_path: Path) -> None:
    written(tmp_path, {}, {})
    old = segments_in(tmp_path)[0]
    log = journal(tmp_path, limit_bytes=2 * old.stat().st_size - 20)
    made = [record(log.next_id()) for _ in range(3)]
    log.write(made[:1])
    with pytest.raises(JournalFull, match="has reached its limit of"):
        log.write(made[1:2])
    assert log.lag == sum(path.stat().st_size for path in segments_in(tmp_path))
    old.unlink()
    log.write(made[2:])
    assert read(tmp_path) == [made[0], made[2]]


def test_where_no_file_can_be_made_the_journal_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalFull, match="Not a directory"):
        journal(tmp_path / "file" / "log")


def test_a_closed_journal_refuses(tmp_path: Path) -> None:
    log = journal(tmp_path)
    log.close()
    log.close()
    with pytest.raises(JournalFull, match="was closed"):
        log.write([record("x")])


def test_a_policy_of_syncing_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fsync must be one of never, second, batch"):
        journal(tmp_path, fsync="sometimes")


def test_each_second_what_was_written_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = threading.Event()
    monkeypatch.setattr("nbprod.predictions.segments.SYNC_SECONDS", 0.01)
    monkeypatch.setattr("nbprod.predictions.segments.sync_data", lambda file: synced.set())
    log = journal(tmp_path, fsync="second")
    assert not synced.wait(0.1)  # nothing was written
    log.write([record(log.next_id())])
    assert synced.wait(20)
    log.close()


def test_a_sync_that_fails_meanwhile_is_told_by_the_next_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def broken(_: int) -> None:
        tried.set()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("nbprod.predictions.segments.SYNC_SECONDS", 0.01)
    log = journal(tmp_path, fsync="second")
    made = [record(log.next_id()) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr("nbprod.predictions.segments.sync_data", broken)
        log.write(made[:1])
        assert tried.wait(20)
        while log._writer._failed is None:  # it is kept a moment after the call
            time.sleep(0.001)
        with pytest.raises(JournalFull, match="Input/output error"):
            log.write(made[1:])
    log.write(made[1:])
    assert read(tmp_path) == made
    assert len(segments_in(tmp_path)) == 2
    log.close()


@pytest.mark.parametrize("cut", [1, 4, 20, 100])
def test_a_torn_end_is_cut_off_at_the_next_start_and_told(tmp_path: Path, cut: int) -> None:
    made = written(tmp_path, {}, {}, {})
    (path,) = segments_in(tmp_path)
    size = path.stat().st_size
    os.truncate(path, size - cut)
    log = journal(tmp_path)
    (told,) = log.repaired
    assert (told.segment, told.bytes) == (path.stem, len(encode(made[2])) - cut)
    assert str(told).startswith(f"{path.name}: {told.bytes} bytes at its end were never written whole")
    assert list(records(path.read_bytes())) == made[:2]
    assert journal(tmp_path).repaired == ()


def test_an_end_that_is_longer_than_what_is_looked_at_is_found_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbprod.predictions.segments._TAIL", 64)
    made = written(tmp_path, {}, {}, {})
    (path,) = segments_in(tmp_path)
    assert repair(tmp_path) == ()
    os.truncate(path, path.stat().st_size - 1)
    assert [item.bytes for item in repair(tmp_path)] == [len(encode(made[2])) - 1]


def test_a_segment_without_a_whole_head_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / f"{SegmentName(boot='0' * 16, worker=0, segment=0)}.journal"
    path.write_bytes(HEAD_MARK + b"\x10")
    assert [item.bytes for item in repair(tmp_path)] == [5]
    assert path.read_bytes() == b""


def test_the_end_of_a_segment_that_is_written_is_left_alone(tmp_path: Path) -> None:
    log = journal(tmp_path)
    log.write([record(log.next_id())])
    (path,) = segments_in(tmp_path)
    with path.open("ab") as file:
        file.write(b"half")
    assert Journal(tmp_path, model="churn", worker=1).repaired == ()
    assert path.read_bytes().endswith(b"half")


def test_a_damaged_record_is_passed(tmp_path: Path) -> None:
    made = written(tmp_path, {}, {}, {})
    (path,) = segments_in(tmp_path)
    data = bytearray(path.read_bytes())
    data[-len(encode(made[2])) - 10] ^= 1
    path.write_bytes(data)
    first, damage, third = read(tmp_path)
    assert (first, third) == (made[0], made[2])
    assert isinstance(damage, Damage)
    assert damage.end - damage.start == len(encode(made[1]))
