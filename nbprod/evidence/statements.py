"""Statements: what is said of a version after it was made, without changing it."""

from __future__ import annotations

from datetime import UTC, datetime

from nbprod.entities import ModelVersion, Statement

REGISTRATION = "nbprod/registration/1"


def registration(version: ModelVersion, *, registry: str) -> Statement:
    """That a registry gave an entry a name and a version number, which the entry itself cannot know.

    Args:
        registry: the registry's URI; its credentials are not part of it.
    """
    return Statement(
        schema=REGISTRATION,
        subject=version.digest,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        body={"name": version.name, "version": version.version, "registry": registry},
    )
