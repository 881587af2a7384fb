"""What reports become: kept files, Prometheus text, messages and a page."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.monitoring import kept, notify
from nbprod.monitoring.charts import Point, lines
from nbprod.monitoring.facts import SCHEMA, Check, MonitorReport, Window
from nbprod.monitoring.judge import judged
from nbprod.monitoring.page import page
from nbprod.monitoring.policy import NotifyPolicy
from nbprod.monitoring.prometheus import exposition
from nbprod.monitoring.windows import seen
from tests.monitoring.made import NOW, REFERENCE, gathered, plan, rows, subject


def report(**fields: Any) -> MonitorReport:
    check = Check(area="drift", name='a"ge', status="ALARM", why="it drifted <much>.", value=0.2, limit=0.03)
    whole: dict[str, Any] = {
        "name": "churn", "ref": "churn/7", "digest": "d" * 64, "made": "2026-05-28T20:26:40.000Z", "status": "ALARM",
        "source": "files", "owner": "the team", "age": 86400.0, "checks": (check,),
    }  # fmt: skip
    return MonitorReport(**{**whole, **fields})


def window(key: str, start: float) -> Window:
    return Window(key=key, label=key, start=start, end=start, rows=10)


def told() -> tuple[list[str], Any]:
    sentences: list[str] = []
    return sentences, sentences.append


def test_a_look_at_an_empty_log_does_not_hide_what_files_were_found_to_be(tmp_path: Path) -> None:
    told: list[str] = []
    empty = report(made="2026-05-02T00:00:00Z", source="log", status="INSUFFICIENT")
    kept.keep(tmp_path, empty)
    assert kept.last(tmp_path, told.append) == empty
    files = report(made="2026-05-01T00:00:00Z", source="files", status="ALARM", windows=(window("a", 1),))
    kept.keep(tmp_path, files)
    assert kept.last(tmp_path, told.append) == files
    old = report(made="2026-05-03T00:00:00Z", source="log", status="ALARM")
    kept.keep(tmp_path, old)
    assert kept.last(tmp_path, told.append) == old
    kept.keep(tmp_path, report(made="2026-05-04T00:00:00Z", source="log", status="WARN", windows=(window("b", 2),)))
    last = report(made="2026-05-05T00:00:00Z", source="log", status="OK")
    kept.keep(tmp_path, last)
    assert kept.last(tmp_path, told.append) == last


def test_reports_are_kept_read_back_and_the_newest_is_the_last(tmp_path: Path) -> None:
    sentences, tell = told()
    first, second = report(), report(made="2026-05-29T20:26:40.000Z", status="OK")
    kept.keep(tmp_path, second)
    kept.keep(tmp_path, first)
    assert kept.last(tmp_path, tell) == second
    assert sentences == []


def test_windows_of_earlier_reports_count_once_and_only_of_the_same_version_and_kind(tmp_path: Path) -> None:
    _, tell = told()
    kept.keep(tmp_path, report(made="2026-05-01T00:00:00Z", windows=(window("a", 1), window("b", 2))))
    kept.keep(tmp_path, report(made="2026-05-02T00:00:00Z", windows=(window("b", 3), window("c", 4))))
    kept.keep(tmp_path, report(made="2026-05-03T00:00:00Z", digest="e" * 64, windows=(window("x", 5),)))
    kept.keep(tmp_path, report(made="2026-05-04T00:00:00Z", source="log", windows=(window("y", 6),)))
    found = kept.earlier(tmp_path, report(windows=(window("c", 9),)), tell, count=5)
    assert [(one.key, one.start) for one in found] == [("a", 1), ("b", 3)]
    assert len(kept.earlier(tmp_path, report(), tell, count=1)) == 1


def test_kept_reports_that_are_damaged_or_of_another_schema_are_told_and_left_out(tmp_path: Path) -> None:
    sentences, tell = told()
    kept.keep(tmp_path, report())
    (tmp_path / "2027-01-01.json").write_text("{")
    (tmp_path / "2027-01-02.json").write_text(json.dumps({**report().to_dict(), "schema": "nbprod/monitor-report/9"}))
    assert kept.last(tmp_path, tell) == report()
    assert len(sentences) == 2
    assert "has the schema 'nbprod/monitor-report/9'" in sentences[0]


OLD = """{"schema": "nbprod/monitor-report/1", "name": "churn", "ref": "churn/7", "digest": "d", "made":
"2026-05-28T20:26:40Z", "status": "WARN", "source": "log", "aliases": ["champion"], "owner": "", "age": 1.0, "checks":
[{"area": "drift", "name": "age", "status": "WARN", "why": "it drifted.", "value": 0.1, "limit": null}],
"windows": [{"key": "k", "label": "l", "start": 0.0, "end": 1.0, "rows": 5, "drift": {"age": {"test": "ks", "statistic":
0.1, "effect": 0.1, "drifted": true, "p": 0.01}}, "groups": {"sex": {"recall": [{"group": "1", "rows": 20}]}}}],
"problems": [], "policy": null}"""


def test_the_first_schema_stays_readable(tmp_path: Path) -> None:
    (tmp_path / "2026-05-28.json").write_text(OLD)
    found = kept.last(tmp_path, print)
    assert found is not None and found.schema == SCHEMA
    assert found.windows[0].drift["age"].drifted
    assert found.windows[0].groups["sex"]["recall"][0].group == "1"


LINE = re.compile(r'[a-z_]+\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\} (?:-?[0-9.e+-]+|NaN|[+-]Inf)\Z')


def test_prometheus_text_has_every_check_once_and_escapes_names() -> None:
    text = exposition([report()])
    assert 'nbprod_monitor_status{model="churn",version="7",area="drift",name="a\\"ge"} 3' in text
    assert text.endswith("\n")


@given(name=st.text(max_size=20), value=st.one_of(st.none(), st.floats()))
def test_every_line_of_prometheus_text_is_well_formed(name: str, value: float | None) -> None:
    check = Check(area="drift", name=name, status="OK", why="-", value=value)
    for line in exposition([report(checks=(check,))]).split("\n")[:-1]:
        assert line.startswith("#") or LINE.match(line), line


@contextmanager
def web(codes: list[int]) -> Iterator[tuple[str, list[Any]]]:
    """A server on this machine that answers with some codes, one after the other, and keeps what it was sent."""
    bodies: list[Any] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(codes[min(len(bodies), len(codes)) - 1])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_gets_text_as_slack_takes_it() -> None:
    with web([200]) as (url, bodies):
        assert notify.notify(report(), NotifyPolicy(webhook="$HOOK"), environment={"HOOK": url}) == ()
    assert bodies[0]["text"].startswith("ALARM: churn/7 (owner: the team)\n- ALARM drift")


def test_a_webhook_that_fails_is_tried_again_and_one_that_refuses_is_not() -> None:
    with web([500, 503, 200]) as (url, bodies):
        assert notify.notify(report(), NotifyPolicy(webhook=url), pause=0.001) == ()
    assert len(bodies) == 3
    with web([404]) as (url, bodies):
        (problem,) = notify.notify(report(), NotifyPolicy(webhook=url), pause=0.001)
    assert len(bodies) == 1 and "404" in problem


def test_a_webhook_that_is_down_or_not_set_is_told_without_its_secret() -> None:
    with web([200]) as (url, _):
        pass
    (problem,) = notify.notify(report(), NotifyPolicy(webhook=url), pause=0.001)
    assert "127.0.0.1 could not be told" in problem and "/hook" not in problem
    (problem,) = notify.notify(report(), NotifyPolicy(webhook="$HOOK"), environment={})
    assert "HOOK is not set" in problem


def test_one_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "LIMIT", 0.05)
    done = threading.Event()
    monkeypatch.setattr(notify, "post", lambda *_: done.wait(20))
    (problem,) = notify.notify(report(), NotifyPolicy(webhook="http://127.0.0.1:9/"))
    done.set()
    assert "did not answer in time" in problem


def test_mail_that_cannot_be_sent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    class Server:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            sent.append((host, port))

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def send_message(self, message: Any) -> None:
            sent.append((message["To"], message["Subject"]))

    policy = NotifyPolicy(email=("a@example.org", "b@example.org"), smtp="127.0.0.1:2525")
    monkeypatch.setattr("smtplib.SMTP", Server)
    assert notify.notify(report(), policy) == ()
    assert sent == [("127.0.0.1", 2525), ("a@example.org, b@example.org", "ALARM: churn/7")]
    monkeypatch.undo()
    with web([200]) as (url, _):
        port = url.split(":")[2].partition("/")[0]
    (problem,) = notify.notify(report(), NotifyPolicy(email=("a@b.c",), smtp=f"127.0.0.1:{port}"), pause=0.001)
    assert problem.startswith(f"the mail server 127.0.0.1:{port} could not be told")


def test_who_is_told_depends_on_the_status() -> None:
    assert notify.due(report(), NotifyPolicy())
    assert not notify.due(report(status="WARN"), NotifyPolicy())
    assert notify.due(report(status="WARN"), NotifyPolicy(on="warn"))
    assert not notify.due(report(status="INSUFFICIENT"), NotifyPolicy(on="warn"))


def drawn(*tables: Any) -> str:
    used = plan()
    days = [gathered(table, number=n, used=used) for n, table in enumerate(tables)]
    windows, checks = judged(subject(), [seen(day, used) for day in days], now=NOW)
    whole = report(windows=windows, checks=checks, policy=used.policy.to_dict(), problems=("a <b> was damaged.",))
    return page(whole, REFERENCE, days[-1].profile if days else None)


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere() -> None:
    html = drawn(rows(1000, seed=1), rows(1000, seed=2, shift=0.5))
    assert not re.findall(r"<script|<link|@import|url\(|https?://", html)
    pictures = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(pictures) > 6
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "nan" not in picture.lower().replace("nance", "")
    assert "a &lt;b&gt; was damaged." in html
    assert "prefers-color-scheme:dark" in html and "width=device-width" in html


def test_an_axis_shows_no_rows_below_none_and_no_share_above_all() -> None:
    drawing = lines("rows", [Point(place=n, value=value) for n, value in enumerate((0, 60_000))], labels=["a", "b"])
    assert re.findall(r'class="tick">([^<]+)', drawing) == ["0", "32.4k", "64.8k", "a", "b"]
    drawing = lines("share", [Point(place=n, value=value) for n, value in enumerate((0.02, 0.99))], labels=["a", "b"])
    assert re.findall(r'class="tick">([^<]+)', drawing)[2] == "1"


def test_the_page_of_nothing_can_be_drawn() -> None:
    assert "What was found" in drawn()
    assert "<svg" in drawn(rows(1000, income=None, truth=None))
