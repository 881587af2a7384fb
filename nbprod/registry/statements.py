"""How a statement is kept beside a version: one file of canonical JSON, named by its own sha256."""

from __future__ import annotations

import json
from pathlib import Path

from nbprod.digest import canonical, sha256_bytes
from nbprod.entities import Statement
from nbprod.errors import ArtifactError
from nbprod.registry import FOLDER

STATEMENTS = f"{FOLDER}/statements"
"""Where statements lie, relative to the record of the run that made the version."""


def statement_bytes(statement: Statement) -> bytes:
    """A statement as it is written."""
    return canonical(statement.to_dict())


def read_file(path: Path) -> Statement:
    """A statement from its file, which its name vouches for.

    Raises:
        ArtifactError: it was changed, or is damaged.
    """
    data = path.read_bytes()
    if sha256_bytes(data) != path.stem:
        raise ArtifactError(
            "a statement in the registry is not the one that was written: its bytes have another sha256 than its "
            "file's name says; bring the file back from a copy, or take it away.",
            file=path.name,
        )
    try:
        return Statement.from_dict(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "a statement in the registry is damaged: its file is no JSON of nbprod's.", file=path.name
        ) from error


def statement_name(statement: Statement) -> str:
    """The name of its file: ``<sha256>.json``."""
    return f"{sha256_bytes(statement_bytes(statement))}.json"
