"""The verb over one model or all: rows of health, what is written, and who is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError, UsageError
from nbprod.lifecycle import health as lifecycle
from nbprod.lifecycle import monitor as looking
from nbprod.lifecycle.workspace import Workspace
from tests.lifecycle.test_monitor import file, version, work
from tests.monitoring.made import rows
from tests.predictions.made import NOON

__all__ = ["work"]


def test_one_model_that_fails_does_not_stop_the_rest(
    work: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find(name: str, _: Workspace) -> ModelVersion:
        if name == "broken":
            raise ArtifactError("its bytes are not there.")
        return version()

    monkeypatch.setattr(lifecycle, "_names", lambda _: ["broken", "churn"])
    monkeypatch.setattr(lifecycle, "version_of", find)
    monkeypatch.setattr(looking, "version_of", find)
    found = lifecycle.look(None, all_=True, prometheus=str(tmp_path / "metrics.prom"))
    assert [(row.name, row.status) for row in found.rows] == [("broken", "ERROR"), ("churn", "INSUFFICIENT")]
    assert found.rows[0].why == "its bytes are not there."
    assert 'model="churn"' in (tmp_path / "metrics.prom").read_text()
    (broken, churn) = lifecycle.health()
    assert broken.status == "ERROR"
    assert (churn.version, churn.owner, churn.status) == ("7", "the team", found.rows[1].status)
    assert churn.checked


def test_health_is_that_of_the_version_it_names_whatever_was_looked_at_since(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_names", lambda _: ["churn"])
    monkeypatch.setattr(lifecycle, "version_of", lambda *_: version())
    other = replace(version(), version="6", digest="6" * 64)
    assert looking.look_at(work, other, looking.Request(keep="no"), now=NOON).kept == ""
    assert lifecycle.health()[0].why == "nobody looked at it yet."
    looking.look_at(work, other, looking.Request(), now=NOON)
    assert lifecycle.health()[0].why.startswith("churn/6 was looked at: ")
    looking.look_at(work, version(), looking.Request(), now=NOON + 60)
    looking.look_at(work, other, looking.Request(), now=NOON + 120)
    assert "churn/6" not in lifecycle.health()[0].why


def test_a_webhook_that_is_down_does_not_lose_the_report(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "version_of", lambda *_: version())
    monkeypatch.setattr("nbprod.monitoring.notify.PAUSE", 0.001)
    name = file(rows(600, income=None))
    found = lifecycle.look("churn", files=(name,), webhook="http://127.0.0.1:1/x", html="page.html")
    assert found.report is not None and found.report.status == "ALARM"
    assert "127.0.0.1 could not be told" in found.report.problems[-1]
    assert found.report.problems == tuple(json.loads(Path(found.kept).read_text())["problems"])
    assert "<svg" in Path("page.html").read_text()


def test_a_webhook_whose_variable_is_not_set_is_told_before_there_is_an_alarm(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "version_of", lambda *_: version())
    monkeypatch.delenv("HOOK_OF_OURS", raising=False)
    found = lifecycle.look("churn", files=(file(rows(600)),), webhook="$HOOK_OF_OURS")
    assert found.report is not None and found.report.status != "ALARM"
    assert "the webhook is not told: the environment variable HOOK_OF_OURS is not set." in found.report.problems
    monkeypatch.setenv("HOOK_OF_OURS", "http://127.0.0.1:1/x")
    found = lifecycle.look("churn", files=(file(rows(600)),), webhook="$HOOK_OF_OURS")
    assert found.report is not None and not any("webhook" in problem for problem in found.report.problems)


def test_a_webhook_must_be_an_address() -> None:
    with pytest.raises(UsageError, match="--webhook must be a URL that begins with https://"):
        lifecycle.look("churn", webhook="hooks.example.org/secret")


def test_one_or_all_must_be_said() -> None:
    with pytest.raises(UsageError, match="name a model, or say --all"):
        lifecycle.look(None)
    with pytest.raises(UsageError, match="are about one model"):
        lifecycle.look(None, all_=True, html="page.html")
    with pytest.raises(UsageError, match="not both"):
        lifecycle.look("churn", all_=True)


def test_what_is_written_must_be_a_file_that_can_be(
    work: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(looking, "version_of", lambda *_: version())
    with pytest.raises(UsageError, match="is a folder: name a file in it"):
        lifecycle.look("churn", html=str(tmp_path))
    with pytest.raises(UsageError, match="is a folder: name a file in it"):
        lifecycle.look("churn", prometheus=str(tmp_path))
    (tmp_path / "taken").touch()
    with pytest.raises(ArtifactError, match=r"page\.html: cannot be written .*: name another place"):
        lifecycle.look("churn", html=str(tmp_path / "taken" / "page.html"))
