"""What a registry says of a version counts only as far as it fits the version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbprod.entities import ModelVersion, Statement
from nbprod.evidence.entry import digest
from nbprod.evidence.statements import promotion, registration, signed
from nbprod.lifecycle.recorded import of_parent, of_statements, of_tags
from nbprod.trust.keys import Keys

ENTRY: dict[str, Any] = {
    "run": {"id": "20260101-a"}, "source": {"git": {"commit": "c" * 40}},
    "parent": {"relation": "incremental", "digest": "e" * 64},
}  # fmt: skip
VERSION = ModelVersion(name="churn", version="2", digest=digest(ENTRY), entry=ENTRY, run="20260101-a")


def registered(version: ModelVersion = VERSION, keys: Keys | None = None) -> Statement:
    key = (keys or Keys()).own()
    return signed(registration(version, registry="sqlite", key=key.id, user="ana"), key)


def found(*statements: Statement) -> dict[str, tuple[str, str]]:
    return {check.name: (check.state, check.why) for check in of_statements(VERSION, statements, Keys())}


def test_a_signed_registration_binds_the_entry_to_its_name_and_number() -> None:
    assert found(registered())["registration"][0] == "ok"


def test_without_one_it_is_unknown_and_unsigned_it_stays_so() -> None:
    assert found()["registration"] == ("unknown", "nothing says which name and number this entry was given.")
    assert found(replace(registered(), signatures=()))["registration"] == ("unknown", "it is not signed.")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (replace(VERSION, version="1"), "registered as churn/1, and not as churn/2: the registry's pointer was moved."),
        (replace(VERSION, digest="f" * 64), f"given to the entry {'f' * 12}, and not to this one"),
    ],
)
def test_a_pointer_to_another_folder_fails(version: ModelVersion, said: str) -> None:
    state, why = found(registered(version))["registration"]
    assert state == "FAIL"
    assert said in why


def test_an_entry_that_also_was_registered_elsewhere_is_itself() -> None:
    assert found(registered(replace(VERSION, name="elsewhere")), registered())["registration"][0] == "ok"


def test_a_statement_that_was_changed_or_is_of_a_stranger_fails(tmp_path: Path) -> None:
    keys, stranger = Keys(), Keys(tmp_path / "stranger")
    moved = promotion(VERSION.digest, alias="champion", before="1", reason="better", overrides=())
    good = signed(moved, keys.own())
    assert found(registered(), good)["statements"] == ("ok", "all 1 are signed.")
    changed = replace(good, body={**good.body, "reason": "the best"})
    assert found(registered(), good, changed)["statements"][0] == "FAIL"
    assert "which is not pinned" in found(registered(), signed(moved, stranger.own()))["statements"][1]
    assert "is about another entry" in found(registered(), replace(good, subject="a" * 64))["statements"][1]
    assert found(registered(), replace(good, signatures=()))["statements"][0] == "unknown"
    twice = replace(good, signatures=(*good.signatures, *good.signatures))
    assert found(registered(), twice)["statements"][0] == "unknown"
    broken = replace(good, signatures=({"keyid": keys.own().id, "sig": "%"},))
    assert found(registered(), broken)["statements"][0] == "FAIL"


def test_a_tag_that_says_something_else_fails() -> None:
    assert of_tags(VERSION).state == "ok"
    assert of_tags(replace(VERSION, run="")).why == "the tag nbprod.run is missing, and the entry says 20260101-a."
    assert "nbprod.commit is d" in of_tags(replace(VERSION, tags={"nbprod.commit": "d" * 40})).why
    assert of_tags(replace(VERSION, digest="f" * 64)).state == "FAIL"


def test_a_parent_that_is_not_there_is_unknown() -> None:
    (missing,) = of_parent(VERSION, [VERSION])
    assert (missing.state, "is not in this registry" in missing.why) == ("unknown", True)
    (known,) = of_parent(VERSION, [replace(VERSION, version="1", digest="e" * 64)])
    assert (known.state, known.why) == ("ok", "incremental of churn/1.")
    assert list(of_parent(replace(VERSION, entry={**ENTRY, "parent": None}), [])) == []
