"""What a project demands of a version before it is promoted."""

from __future__ import annotations

from typing import Any

import pytest

from nbprod.entities import ModelVersion
from nbprod.lifecycle.requirements import requirements


def version(**changes: Any) -> ModelVersion:
    entry: dict[str, Any] = {
        "model": {"signature": {"inputs": [{"name": "a", "type": "long"}]}},
        "inputs": [{"uri": "a.csv", "stage": None, "card": {"license": "CC0-1.0"}},
                   {"uri": "train.csv", "stage": "prepare", "card": "derived"}],
        "source": {"git": {"commit": "c", "dirty": False}, "measured": "before_run"},
    }  # fmt: skip
    return ModelVersion(name="m", version="1", entry={**entry, **changes})


def test_without_strict_only_a_gate_is_demanded() -> None:
    bare = version(model={"signature": None}, inputs=[], source={"git": "unknown"})
    (missing,) = requirements(bare, gated=0, strict=False)
    assert (missing.gate, missing.verdict) == ("gates", "failed")
    assert missing.reason == "it has no gates, so nothing was measured against anything."
    assert requirements(bare, gated=1, strict=False) == ()


def test_a_strict_project_is_content_with_a_version_of_which_all_is_known() -> None:
    assert requirements(version(), gated=1, strict=True) == ()


@pytest.mark.parametrize(
    ("changes", "gate", "reason"),
    [
        ({"model": {"signature": {"inputs": None}}}, "signature",
         "the model does not say what it takes: log it with an example."),
        ({"inputs": []}, "cards", "nothing is known of the data that it learned from."),
        ({"inputs": [{"uri": "a.csv", "stage": None, "card": "unknown"}]}, "cards",
         "there is no dataset card for a.csv."),
        ({"source": {"git": "unknown", "measured": "before_run"}}, "clean_source", "its code is in no commit."),
        ({"source": {"git": {"dirty": True}, "measured": "before_run"}}, "clean_source",
         "its code differed from the commit: commit it, and run again."),
    ],
)  # fmt: skip
def test_a_strict_project_says_what_is_missing(changes: dict[str, Any], gate: str, reason: str) -> None:
    (missing,) = requirements(version(**changes), gated=1, strict=True)
    assert (missing.gate, missing.reason) == (gate, reason)


@pytest.mark.parametrize("signed", ["unsigned", "unpinned", "revoked"])
def test_a_strict_project_demands_a_good_signature_of_the_folder(signed: str) -> None:
    (missing,) = requirements(version(), gated=1, strict=True, signed=signed)
    assert missing.gate == "signed"
    assert requirements(version(), gated=1, strict=False, signed=signed) == ()
