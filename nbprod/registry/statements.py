"""How a statement is kept beside a version: one file of canonical JSON, named by its own sha256."""

from __future__ import annotations

from nbprod.digest import canonical, sha256_bytes
from nbprod.entities import Statement
from nbprod.registry import FOLDER

STATEMENTS = f"{FOLDER}/statements"
"""Where statements lie, relative to the record of the run that made the version."""


def statement_bytes(statement: Statement) -> bytes:
    """A statement as it is written."""
    return canonical(statement.to_dict())


def statement_name(statement: Statement) -> str:
    """The name of its file: ``<sha256>.json``."""
    return f"{sha256_bytes(statement_bytes(statement))}.json"
