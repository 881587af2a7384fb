"""The roller beside a service."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

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


def test_a_round_rolls_in_a_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path, model="toy")
    journal.write([record(journal)])
    journal.close()
    rolling.one_round(tmp_path, None, threading.Event())
    assert not rolling.waiting(tmp_path)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_what_was_rolled_may_be_elsewhere(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log", model="toy")
    journal.write([record(journal)])
    journal.close()
    rolling.one_round(tmp_path / "log", 3600.0 * 24 * 3650, threading.Event(), url=(tmp_path / "far").as_uri())
    assert not list((tmp_path / "log").rglob("*.parquet"))
    assert len(list((tmp_path / "far").rglob("*.parquet"))) == 1


def test_what_is_closed_is_rolled_while_the_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "EVERY", 0.01)
    journal = Journal(tmp_path, model="toy")
    journal.write([record(journal)])
    journal.close()
    with rolling.rolled(tmp_path, 3600.0 * 24 * 3650):
        while rolling.waiting(tmp_path):
            time.sleep(0.01)
    assert [thread.name for thread in threading.enumerate() if thread.name == "roll"] == []
