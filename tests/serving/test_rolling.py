"""The roller beside a service."""

from __future__ import annotations

from pathlib import Path

from nbprod.predictions.journal import Journal, Record
from nbprod.serving import rolling


def record(journal: Journal) -> Record:
    return Record(
        request=journal.next_id(), time=1.8e9, version="1", role="answer", inputs=b'{"columns":["a"],"rows":[[1]]}',
        outputs=b"[1]", rows=1, latency=0.001, key="",
    )  # fmt: skip


def test_only_segments_that_nobody_writes_wait(tmp_path: Path) -> None:
    assert not rolling.waiting(tmp_path)
    journal = Journal(tmp_path, model="toy")
    journal.write([record(journal)])
    assert not rolling.waiting(tmp_path)
    journal.close()
    assert rolling.waiting(tmp_path)


def test_a_round_rolls_in_a_child(tmp_path: Path) -> None:
    import threading

    journal = Journal(tmp_path, model="toy")
    journal.write([record(journal)])
    journal.close()
    rolling._round(tmp_path, None, threading.Event())
    assert not rolling.waiting(tmp_path)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_the_process_ends_with_the_block(tmp_path: Path) -> None:
    with rolling.rolled(tmp_path, 3600.0):
        pass
