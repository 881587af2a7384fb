"""Prediction logs: found by the column of a subject, clean where they keep nothing personal, unknown otherwise."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbprod.entities import ModelVersion
from nbprod.lifecycle.subject.logs import ask_logs, erase_from_logs, prediction_logs
from nbprod.predictions.places import folder_of, url_of
from nbprod.predictions.roller import roll
from tests.lifecycle.subject.made import People
from tests.predictions.made import written


def version(
    people: People, columns: list[str], card: dict[str, Any], log: dict[str, Any] | None = None
) -> ModelVersion:
    made = people.version("1", [(people.data(), "train", card)])
    entry = dict(made.entry)
    entry["model"] = {**entry["model"], "signature": {"inputs": [{"name": name} for name in columns]}}
    entry["pipeline"] = {**entry["pipeline"], "sections": {} if log is None else {"log": log}}
    return replace(made, entry=entry)


@pytest.fixture
def logged(people: People) -> People:
    people.lab.file(".nbprod/predictions/churn/begun", "")
    return people


def test_without_a_log_there_is_none(people: People) -> None:
    assert prediction_logs(people.work) == {}
    assert list(ask_logs(people.work, (), ["A"])) == []


def test_a_log_that_keeps_no_marked_column_holds_nobody(logged: People) -> None:
    (found,) = ask_logs(
        logged.work, [version(logged, ["age", "x"], {"subject": "customer", "personal": ["age"]})], ["A"]
    )
    assert found.state == "absent"


def test_a_log_that_keeps_personal_columns_but_no_id_is_unknown(logged: People) -> None:
    made = version(
        logged, ["age"], {"subject": "customer", "personal": ["age"]}, {"inputs": ["age"], "because": "drift"}
    )
    (found,) = ask_logs(logged.work, [made], ["A"])
    assert (found.state, found.path) == ("unknown", ".nbprod/predictions/churn")


def test_a_log_of_a_model_that_nobody_knows_is_unknown(logged: People) -> None:
    (found,) = ask_logs(logged.work, (), ["A"])
    assert found.state == "unknown"


def test_a_log_that_keeps_the_column_is_asked(logged: People) -> None:
    made = version(logged, ["customer"], {"subject": "customer"}, {"inputs": ["customer"], "because": "support"})
    (found,) = ask_logs(logged.work, [made], ["A"])
    assert (found.state, found.columns, found.rows) == ("absent", ("customer",), 0)


def test_what_was_rolled_elsewhere_is_asked_and_erased(people: People, tmp_path: Path) -> None:
    made = version(people, ["customer"], {"subject": "customer"}, {"inputs": ["customer"], "because": "support"})
    far = tmp_path / "far"
    project = replace(people.work.project, settings=replace(people.work.project.settings, predictions=far.as_uri()))
    work = replace(people.work, project=project)
    folder = folder_of(project.data, "churn")
    said = b'{"columns":["customer"],"rows":[["A"]]}'
    written(folder, {"inputs": said}, {"inputs": said.replace(b"A", b"B")})
    roll(folder, url_of(project.rolled_predictions, "churn"))
    shutil.rmtree(folder)
    (found,) = ask_logs(work, [made], ["A"])
    assert (found.state, found.rows) == ("holds", 1)
    assert erase_from_logs(work, [found], ["A"]) == (".nbprod/predictions/churn: 1 predictions",)
    assert [log.state for log in ask_logs(work, [made], ["A"])] == ["absent"]
    assert [log.rows for log in ask_logs(work, [made], ["B"])] == [1]
