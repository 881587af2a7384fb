"""The overlay is written, and a cluster is changed only when that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbprod.errors import DeployError, UsageError
from nbprod.store import remove
from nbprod.targets.kubernetes import kubernetes
from tests.targets.made import calls, fake_program, placement

OVERLAY = "resources: [../../base]\n"


def test_the_overlay_is_written_and_nothing_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = fake_program(tmp_path, "kubectl", monkeypatch)
    for _ in range(2):
        made = kubernetes(placement(tmp_path, target="kubernetes", overlay=OVERLAY), image="r/churn:3")
    target = Path(str(made.details["overlay"]))
    assert (target / "kustomization.yaml").read_text() == OVERLAY
    assert (target / "../../base/kustomization.yaml").is_file()
    assert made.status == "written"
    assert calls(notes) == []


def test_it_is_applied_when_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = fake_program(tmp_path, "kubectl", monkeypatch)
    wanted = placement(tmp_path, target="kubernetes", overlay=OVERLAY)
    made = kubernetes(wanted, image="r/churn:3", namespace="ml", mode="apply")
    assert calls(notes) == [["apply", "-k", str(made.details["overlay"]), "--namespace", "ml"]]
    assert made.status == "applied"


def test_without_kubectl_it_says_what_to_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeployError, match="there is no kubectl"):
        kubernetes(placement(tmp_path, target="kubernetes", overlay=OVERLAY), image="r/churn:3", mode="apply")


def test_a_bundle_without_manifests_is_refused(tmp_path: Path) -> None:
    wanted = placement(tmp_path, target="kubernetes", overlay=OVERLAY)
    remove(wanted.bundle / "kubernetes")
    with pytest.raises(UsageError, match="build it with --kubernetes"):
        kubernetes(wanted, image="r/churn:3")
