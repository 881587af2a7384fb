"""Statements about a version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbprod.entities import ModelVersion, Statement
from nbprod.errors import ArtifactError
from nbprod.evidence.statements import SCHEMAS, read_statement, registration
from nbprod.registry.statements import statement_bytes

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
