"""Statements as they lie beside a version."""

from __future__ import annotations

import json

from nbprod.digest import sha256_bytes
from nbprod.entities import Statement
from nbprod.registry.statements import statement_bytes, statement_name


def test_a_statement_is_canonical_json_under_its_own_digest() -> None:
    statement = Statement(schema="nbprod/gates/1", subject="a" * 64, created="now", body={"b": 1, "a": [True]})

    data = statement_bytes(statement)

    assert Statement.from_dict(json.loads(data)) == statement
    assert data.startswith(b'{"body":{"a":[true],"b":1},')
    assert statement_name(statement) == f"{sha256_bytes(data)}.json"


def test_another_statement_has_another_name() -> None:
    one = Statement(schema="nbprod/gates/1", subject="a" * 64)

    assert statement_name(one) != statement_name(Statement(schema="nbprod/gates/1", subject="b" * 64))
