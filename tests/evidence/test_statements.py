"""Statements about a version."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbprod.entities import GateResult, ModelVersion, Statement
from nbprod.errors import ArtifactError
from nbprod.evidence.statements import (
    GATES,
    SCHEMAS,
    approval,
    gates,
    promotion,
    read_statement,
    registration,
    reproduction,
    signature_of,
    signed,
)
from nbprod.registry.statements import statement_bytes
from nbprod.trust.keys import Keys

EXAMPLES = Path(__file__).with_name("examples")
VERSION = ModelVersion(name="churn", version="3", digest="d" * 64, created="2026-01-01T12:00:00.000+00:00")


def test_a_registration_gives_an_entry_its_name_and_number() -> None:
    statement = registration(VERSION, registry="sqlite")

    assert statement == Statement(
        schema="nbprod/registration/1",
        subject="d" * 64,
        created="2026-01-01T12:00:00.000+00:00",
        body={"name": "churn", "version": "3", "registry": "sqlite"},
    )


def test_a_registration_names_who_made_it() -> None:
    statement = registration(VERSION, registry="sqlite", key="0123456789abcdef", user="ana")

    assert statement.body["by"] == {"key": "0123456789abcdef", "user": "ana"}


def test_what_gates_found_is_kept_with_the_champion_and_a_verdict() -> None:
    good = GateResult(gate="size", verdict="passed", observed=float("nan"))
    assert gates("d" * 64, [good], champion="churn/2").body["passed"] is True
    statement = gates("d" * 64, [good, GateResult(gate="fair", verdict="undecided")], champion="")
    assert (statement.body["passed"], statement.body["champion"]) == (False, None)
    assert statement.body["results"][0]["observed"] == "nan"
    assert gates("d" * 64, [], champion="").body["passed"] is False


def test_a_promotion_and_an_approval_name_their_reasons() -> None:
    moved = promotion("d" * 64, alias="champion", before="", reason="better", overrides=["fair"])
    assert moved.body == {"alias": "champion", "before": None, "reason": "better", "overrides": ["fair"]}
    said = approval("d" * 64, key="0123456789abcdef", user="ana", reason="read it")
    assert said.body == {"by": {"key": "0123456789abcdef", "user": "ana"}, "reason": "read it"}


def test_a_statement_can_be_read_back() -> None:
    statement = registration(VERSION, registry="sqlite")

    assert read_statement(statement_bytes(statement)) == statement


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_a_statement_that_was_written_once_can_be_read_for_ever(schema: str) -> None:
    """The files in ``examples`` are never changed: a new version of a schema gets a new file."""
    name = schema.removeprefix("nbprod/").replace("/", "-")

    statement = read_statement((EXAMPLES / f"{name}.json").read_bytes())

    assert statement.schema == schema
    assert statement.subject == "d" * 64


def test_a_signature_is_of_all_that_a_statement_says() -> None:
    keys = Keys()
    said = signed(approval("d" * 64, key=keys.own().id, user="ana", reason="read it"), keys.own())
    assert signature_of(read_statement(statement_bytes(said)), keys).state == "ok"
    changes: tuple[dict[str, Any], ...] = ({"subject": "e" * 64}, {"schema": GATES}, {"created": ""}, {"body": {}})
    for change in changes:
        assert signature_of(replace(said, **change), keys).state == "bad"
    assert signature_of(replace(said, signatures=()), keys).state == "unsigned"


def test_a_recipe_that_was_run_again_is_told_with_its_tolerance() -> None:
    found = {"verdict": "different", "reason": "r", "code": "c", "environment": "e", "compared": [float("nan")]}
    statement = reproduction("d" * 64, {**found, "version": "not kept"}, tolerance=0.1)
    assert statement.body == {**found, "compared": ["nan"], "tolerance": 0.1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "it is damaged"),
        ("[]", "it is damaged"),
        (json.dumps({"schema": "nbprod/registration/1"}), "it is damaged"),
        (json.dumps({"schema": "nbprod/registration/2", "subject": "", "body": {}}), "upgrade nbprod"),
        (json.dumps({"schema": "nbprod/registration/1", "subject": None, "body": {}}), "it names no entry"),
    ],
)
def test_what_is_no_statement_is_refused(content: str, said: str) -> None:
    with pytest.raises(ArtifactError, match=said) as refused:
        read_statement(content, file="a.json")
    assert refused.value.file == "a.json"
