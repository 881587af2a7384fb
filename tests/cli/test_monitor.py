"""``nbprod monitor`` and ``nbprod models --health``: tables, documents and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from nbprod.cli import main
from nbprod.errors import ArtifactError
from nbprod.lifecycle import health as lifecycle
from nbprod.lifecycle.health import Found, Health
from nbprod.monitoring.facts import Check, MonitorReport, Window

CHECK = Check(area="drift", name="age", status="ALARM", why="it drifted.")
REPORT = MonitorReport(
    name="churn", ref="churn/7", digest="d", made="2026-05-28T20:26:40Z", status="ALARM", source="log", checks=(CHECK,),
    windows=(Window(key="k", label="2026-05-28", start=0.0, end=1.0, rows=1234),), problems=("a clock went back.",),
)  # fmt: skip
ROW = Health(
    name="churn", version="7", champion=True, age=86400.0, owner="us", checked=REPORT.made, status="ALARM", why="x"
)

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def nbprod(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line over what was found: exit code, stdout, stderr."""

    def look(name: str | None, **options: Any) -> Found:
        if name == "gone":
            raise ArtifactError("its bytes are not there.")
        if name is None:
            return Found(rows=(ROW, Health(name="new", version="1", why="nobody looked at it yet.")), document=[])
        return Found(rows=(ROW,), report=REPORT, kept="kept.json", document=REPORT.to_dict())

    monkeypatch.setattr(lifecycle, "look", look)
    monkeypatch.setattr(lifecycle, "health", lambda: (ROW,))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return call


def test_a_report_is_a_table_with_the_worst_first_and_a_next_step(nbprod: Call) -> None:
    code, out, err = nbprod("monitor", "churn")
    assert code == 0
    assert out.startswith("churn/7: ALARM, 1 window of log; the last window is 2026-05-28 with 1,234 rows")
    assert "ALARM   drift  age  it drifted." in out
    assert "warning: a clock went back." in err
    assert "next: nbprod monitor churn --html monitor.html" in err


def test_all_models_are_a_row_each(nbprod: Call) -> None:
    code, out, _ = nbprod("monitor", "--all")
    assert code == 0
    assert out.splitlines()[1].split() == ["churn", "7", "1", "d", "us", "2026-05-28", "20:26", "ALARM", "x"]
    assert "1 (no champion)" in out and "never" in out


@pytest.mark.parametrize("arguments", [("churn",), ("--all",), ("churn", "--json")])
def test_an_alarm_is_exit_code_6_if_asked_for(nbprod: Call, arguments: tuple[str, ...]) -> None:
    assert nbprod("monitor", *arguments, "--fail-on", "alarm")[0] == 6
    assert nbprod("monitor", *arguments)[0] == 0


def test_the_document_is_the_report(nbprod: Call) -> None:
    _, out, _ = nbprod("monitor", "churn", "--json")
    assert MonitorReport.from_dict(json.loads(out)) == REPORT


def test_an_error_has_its_own_exit_code(nbprod: Call) -> None:
    assert nbprod("monitor", "gone", "--fail-on", "alarm")[0] == 4


def test_models_can_say_their_health(nbprod: Call) -> None:
    code, out, err = nbprod("models", "--health")
    assert code == 0 and "churn" in out and "ALARM" in out
    assert "next: nbprod monitor churn" in err
    assert json.loads(nbprod("models", "--health", "--json")[1])[0]["owner"] == "us"
