"""Say something of a version: sign the statement, and keep it beside the version."""

from __future__ import annotations

from nbprod.entities import ModelVersion, Statement
from nbprod.evidence.statements import signed
from nbprod.registry import Registry
from nbprod.trust.keys import Keys


def attest(registry: Registry, version: ModelVersion, statement: Statement, keys: Keys) -> Statement:
    """Keep a statement beside a version; returns it as it is kept, with the signature of whoever runs this."""
    kept = signed(statement, keys.own())
    registry.attach(version.name, version.version, kept)
    return kept
