"""The prediction log with real processes that are killed, and a real disk that is full."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbprod.errors import JournalFull
from nbprod.predictions.journal import Record, records
from nbprod.predictions.places import Place
from nbprod.predictions.reading import find, read_table
from nbprod.predictions.roller import roll
from nbprod.predictions.segments import segments_in
from tests.predictions.made import journal, record

pytestmark = pytest.mark.slow

WRITER = """
import sys
import threading
from pathlib import Path
from nbprod.predictions.journal import Journal
from tests.predictions.made import record
log = Journal(Path(sys.argv[1]), model="churn", segment_bytes=200_000, worker=int(sys.argv[2]))
while True:
    batch = [record(log.next_id(), rows=[(i, 0.5)] * (i % 3 + 1), version=str(i % 2)) for i in range(64)]
    log.write(batch)
    print(*(item.request for item in batch), flush=True)
"""

ROLLER = """
import sys
import threading
from pathlib import Path
from nbprod.predictions.roller import roll
import filelock, fsspec, pyarrow.parquet
print("begins", flush=True)
roll(Path(sys.argv[1]))
"""


def started(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


def killed_after(process: subprocess.Popen[str], seconds: float) -> list[str]:
    """The words that a process said until it was killed, so long after its first line; without a line that is cut."""
    assert process.stdout is not None
    with process, process.stdout:
        said = process.stdout.readline()
        threading.Timer(seconds, process.kill).start()
        said += process.stdout.read()
    assert process.returncode in (0, -signal.SIGKILL)
    return said.rpartition("\n")[0].split()


def test_whatever_was_acknowledged_is_there_after_twenty_kills_and_a_roller_that_is_killed_too(tmp_path: Path) -> None:
    chance = random.Random(4)
    answered: list[str] = []
    for number in range(20):
        answered += killed_after(started(WRITER, str(tmp_path), str(number % 2)), chance.uniform(0.0, 0.1))
        if number % 2:
            killed_after(started(ROLLER, str(tmp_path)), chance.uniform(0.0, 0.3))
    assert len(answered) > 1000
    for state in ("after the kills", "after a roller that was left alone"):
        found = read_table(tmp_path, columns=["request", "row", "rows"]).to_pylist()
        places = {(row["request"], row["row"]) for row in found}
        assert len(places) == len(found), state
        assert all((row["request"], row["rows"] - 1) in places for row in found), state
        assert set(answered) <= {row["request"] for row in found}, state
        for request in chance.sample(answered, 5):
            assert [item.request for item in find(tmp_path, request)] == [request], state
        assert not roll(tmp_path).problems or state == "after the kills"
    assert segments_in(tmp_path) == []
    assert Place.at(tmp_path).parquet()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".new")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB; where none can be mounted, files that may not become larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_refuses_keeps_what_it_took_and_takes_more_when_there_is_room(small_disk: Path) -> None:
    log = journal(small_disk, segment_bytes=100_000)
    kept: list[Record] = []
    refused = 0
    while refused < 3:
        batch = [record(log.next_id()) for _ in range(40)]
        try:
            log.write(batch)
            kept += batch
        except JournalFull:
            refused += 1
        if len(segments_in(small_disk)) > 20:  # files are limited, not the disk: rotation goes on
            break
    for path in segments_in(small_disk)[:1]:
        gone = [item for item in records(path.read_bytes()) if isinstance(item, Record)]
        path.unlink()
        kept = kept[len(gone) :]
    last = [record(log.next_id())]
    log.write(last)
    log.close()
    found = [item for path in segments_in(small_disk) for item in records(path.read_bytes())]
    assert found == [*kept, *last]
