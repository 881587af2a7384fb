"""The demo of monitoring, with fewer months: it ends by itself, and everything it did stands in the history."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbprod.lifecycle.history import history
from nbprod.predictions.reading import read_table

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_demo_plays_to_its_end_with_no_hand_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, str(ROOT / "demos/monitor/play.py"), str(folder), "--months", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    months = [line for line in done.stdout.splitlines() if line.startswith("2016-") and " people " in line]
    assert len(months) == 12
    assert "<html" in (folder / "monitor.html").read_text(encoding="utf-8")[:200]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".nbprod/config"))
    monkeypatch.chdir(folder)
    found = history("employment")
    assert not found.problems
    actions = [line.action for line in found.lines]
    assert actions[:6] == ["promote", "alarm", "retrain", "challenge", "judge", "shadow"], actions
    assert all(line.reason for line in found.lines)
    assert all(line.time.startswith(("2016", "2017")) for line in found.lines)
    rows = read_table(folder / ".nbprod/predictions/employment", columns=["role", "version"])
    seen = set(zip(rows["role"].to_pylist(), rows["version"].to_pylist(), strict=True))
    assert {("answer", "1"), ("shadow", "2")} <= seen, seen
    kept = json.loads((folder / ".nbprod/watch.json").read_text())
    assert kept["looks"]["employment"]["name"] == "employment"
