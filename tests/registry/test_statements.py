"""Statements as they lie beside a version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbprod.digest import sha256_bytes
from nbprod.entities import Statement
from nbprod.errors import ArtifactError
from nbprod.registry.statements import read_file, statement_bytes, statement_name


def test_a_statement_is_canonical_json_under_its_own_digest() -> None:
    statement = Statement(schema="nbprod/gates/1", subject="a" * 64, created="now", body={"b": 1, "a": [True]})

    data = statement_bytes(statement)

    assert Statement.from_dict(json.loads(data)) == statement
    assert data.startswith(b'{"body":{"a":[true],"b":1},')
    assert statement_name(statement) == f"{sha256_bytes(data)}.json"


def test_another_statement_has_another_name() -> None:
    one = Statement(schema="nbprod/gates/1", subject="a" * 64)

    assert statement_name(one) != statement_name(Statement(schema="nbprod/gates/1", subject="b" * 64))


def test_a_statement_is_read_from_its_file(tmp_path: Path) -> None:
    statement = Statement(schema="nbprod/gates/1", subject="a" * 64, created="now", body={"passed": True})
    (tmp_path / statement_name(statement)).write_bytes(statement_bytes(statement))

    assert read_file(tmp_path / statement_name(statement)) == statement


def test_a_statement_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    statement = Statement(schema="nbprod/gates/1", subject="a" * 64, body={"passed": False})
    name = statement_name(statement)
    (tmp_path / name).write_bytes(statement_bytes(statement).replace(b"false", b"true"))

    with pytest.raises(ArtifactError, match="is not the one that was written") as refused:
        read_file(tmp_path / name)
    assert refused.value.file == name


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"schema": 1}'])
def test_what_is_no_statement_is_damaged_even_under_its_own_digest(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / f"{sha256_bytes(data)}.json"
    path.write_bytes(data)

    with pytest.raises(ArtifactError, match="is damaged"):
        read_file(path)
