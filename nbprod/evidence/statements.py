"""Statements: what is said of a version after it was made, without changing it, signed by who says it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nbprod.digest import canonical
from nbprod.entities import GateResult, ModelVersion, Statement
from nbprod.errors import ArtifactError
from nbprod.evidence.entry import plain
from nbprod.trust.envelope import Vouched, check_detached, sign_detached
from nbprod.trust.keys import Keys, SigningKey

REGISTRATION = "nbprod/registration/1"
GATES = "nbprod/gates/1"
PROMOTION = "nbprod/promotion/1"
APPROVAL = "nbprod/approval/1"

REPRODUCTION = "nbprod/reproduction/1"

SCHEMAS = frozenset({REGISTRATION, GATES, PROMOTION, APPROVAL, REPRODUCTION})
"""What this nbprod can read; every version that was ever written stays here."""

KIND = "application/vnd.nbprod.statement+json"
"""The type of what is signed: a statement in canonical JSON, without its signatures."""


def signed(statement: Statement, key: SigningKey) -> Statement:
    """A statement with a key's signature, instead of any that it had."""
    return replace(statement, signatures=(sign_detached(KIND, _signable(statement), key),))


def signature_of(statement: Statement, keys: Keys) -> Vouched:
    """What a statement's signature is worth; a statement has one, more than that are taken for none."""
    if len(statement.signatures) != 1:
        return Vouched(key="", state="unsigned")
    return check_detached(KIND, _signable(statement), statement.signatures[0], keys)


def _signable(statement: Statement) -> bytes:
    facts = statement.to_dict()
    del facts["signatures"]
    return canonical(plain(facts))


def registration(
    version: ModelVersion, *, registry: str, key: str = "", user: str = "", origin: Mapping[str, str] | None = None
) -> Statement:
    """That a registry gave an entry a name and a version number, which the entry itself cannot know.

    Args:
        registry: the registry's URI without credentials.
        key, user: who registered it: id of the key that they sign with, and name on their machine.
        origin: of an imported version, the registry, name and version that it had where it was exported.
    """
    by: dict[str, Any] = {"by": {"key": key, "user": user}} if key else {}
    if origin:
        by["origin"] = dict(origin)
    return Statement(
        schema=REGISTRATION,
        subject=version.digest,
        created=version.created or datetime.now(UTC).isoformat(timespec="milliseconds"),
        body={"name": version.name, "version": version.version, "registry": registry, **by},
    )


def gates(subject: str, results: Iterable[GateResult], *, champion: str) -> Statement:
    """What the gates found of an entry.

    Args:
        subject: the entry's digest.
        champion: the version that it was held against, as ``name/version``; empty if there was none.
    """
    listed = [plain(result.to_dict()) for result in results]
    passed = bool(listed) and all(result["verdict"] == "passed" for result in listed)
    return _made(GATES, subject, {"results": listed, "passed": passed, "champion": champion or None})


def promotion(subject: str, *, alias: str, before: str, reason: str, overrides: Iterable[str]) -> Statement:
    """That an alias was moved to an entry's version.

    Args:
        before: the version that it pointed at; empty if it is new.
    """
    body = {"alias": alias, "before": before or None, "reason": reason, "overrides": list(overrides)}
    return _made(PROMOTION, subject, body)


def approval(subject: str, *, key: str, user: str, reason: str) -> Statement:
    """That somebody approves of an entry.

    Args:
        key: id of the key that they sign with.
    """
    return _made(APPROVAL, subject, {"by": {"key": key, "user": user}, "reason": reason})


def reproduction(subject: str, found: dict[str, Any], *, tolerance: float) -> Statement:
    """What came out when an entry's recipe was run again.

    Args:
        found: verdict, reason, code, environment and what was compared.
        tolerance: by how much results may differ.
    """
    kept = {key: plain(found[key]) for key in ("verdict", "reason", "code", "environment", "compared")}
    return _made(REPRODUCTION, subject, {**kept, "tolerance": tolerance})


def _made(schema: str, subject: str, body: dict[str, Any]) -> Statement:
    return Statement(
        schema=schema, subject=subject, created=datetime.now(UTC).isoformat(timespec="milliseconds"), body=body
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
    return Statement.from_dict(content)
