"""What gates are told of a version: only what a signature vouches for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbprod.entities import ModelVersion, Statement
from nbprod.evidence.audit import AuditLine, seal_line
from nbprod.evidence.statements import approval, registration
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.judging import confirmed
from nbprod.registry.memory import MemoryRegistry
from nbprod.trust.keys import Keys

VERSION = ModelVersion(name="churn", version="1", digest="d" * 64, created="2026-01-01T12:00:00.000+00:00")


@pytest.fixture
def registry(tmp_path: Path) -> MemoryRegistry:
    found = MemoryRegistry(tmp_path / "registry")
    found.known.append(VERSION)
    return found


def approve(registry: MemoryRegistry, keys: Keys, user: str, **changes: Any) -> Statement:
    """An approval that the audit log has, as its first line."""
    values = {"seq": 1, "time": "t", "key": keys.own().id, "user": user, "action": "approve", "model": "churn",
              "version": "1", "entry": VERSION.digest, **changes}  # fmt: skip
    registry.append("churn", 1, seal_line(AuditLine(**values), keys.own()))
    return attest(registry, VERSION, approval(VERSION.digest, key=keys.own().id, user=user, reason="read it"), keys)


def test_an_approval_that_the_log_has_counts(registry: MemoryRegistry) -> None:
    keys = Keys()
    good = approve(registry, keys, "ana")
    assert confirmed(registry, VERSION, keys) == (good,)


@pytest.mark.parametrize("by", [{"key": "0" * 16, "user": "ana"}, "ana", None])
def test_an_approval_that_was_only_put_there_does_not(registry: MemoryRegistry, by: Any) -> None:
    keys = Keys()
    good = approve(registry, keys, "ana")
    registry.attach("churn", "1", Statement(schema="nbprod/approval/1", subject=VERSION.digest, body={"by": by}))
    assert confirmed(registry, VERSION, keys) == (good,)


def test_a_name_that_the_log_does_not_have_does_not_count(registry: MemoryRegistry) -> None:
    keys = Keys()
    approve(registry, keys, "ana")
    attest(registry, VERSION, approval(VERSION.digest, key=keys.own().id, user="bea", reason="read it"), keys)
    assert [each.body["by"]["user"] for each in confirmed(registry, VERSION, keys)] == ["ana"]


def test_an_approval_of_another_entry_or_in_a_broken_log_does_not_count(registry: MemoryRegistry) -> None:
    keys = Keys()
    approve(registry, keys, "ana", entry="e" * 64)
    assert confirmed(registry, VERSION, keys) == ()
    registry.log["churn"] = {}
    assert confirmed(registry, VERSION, keys) == ()


def test_who_registered_it_is_who_signed_that(registry: MemoryRegistry, tmp_path: Path) -> None:
    keys, others = Keys(), Keys(tmp_path / "others")
    mine = attest(registry, VERSION, registration(VERSION, registry="s", key=keys.own().id, user="ana"), keys)
    attest(registry, VERSION, registration(VERSION, registry="s", key=others.own().id, user="eve"), keys)
    attest(registry, VERSION, registration(VERSION, registry="s", key=others.own().id, user="eve"), others)
    registry.attach("churn", "1", registration(VERSION, registry="s", key=keys.own().id, user="eve"))
    registry.attach("churn", "1", replace(mine, body={**mine.body, "version": "2"}))
    assert confirmed(registry, VERSION, keys) == (mine,)
    keys.revoke(keys.own().id)
    assert confirmed(registry, VERSION, keys) == ()
