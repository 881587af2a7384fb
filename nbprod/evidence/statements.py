"""Statements: what is said of a version after it was made, without changing it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from nbprod.entities import ModelVersion, Statement
from nbprod.errors import ArtifactError

REGISTRATION = "nbprod/registration/1"

SCHEMAS = frozenset({REGISTRATION})
"""What this nbprod can read; every version that was ever written stays here."""


def registration(version: ModelVersion, *, registry: str) -> Statement:
    """That a registry gave an entry a name and a version number, which the entry itself cannot know.

    Args:
        registry: the registry's URI without credentials.
    """
    return Statement(
        schema=REGISTRATION,
        subject=version.digest,
        created=version.created or datetime.now(UTC).isoformat(timespec="milliseconds"),
        body={"name": version.name, "version": version.version, "registry": registry},
    )


def read_statement(data: bytes | str, *, file: str | None = None) -> Statement:
    """Read a statement back.

    Args:
        file: where it came from, for error messages.

    Raises:
        ArtifactError: it is none, or of a schema that this nbprod does not know.
    """
    try:
        content: Any = json.loads(data)
        schema, subject, body = content["schema"], content["subject"], content["body"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError("is no statement of nbprod's: it is damaged.", file=file) from error
    if schema not in SCHEMAS:
        raise ArtifactError(f"has the schema '{schema}', which this nbprod does not know: upgrade nbprod.", file=file)
    if not isinstance(subject, str) or not isinstance(body, dict):
        raise ArtifactError("is no statement of nbprod's: it names no entry.", file=file)
    return Statement(schema=schema, subject=subject, created=str(content.get("created", "")), body=body)
