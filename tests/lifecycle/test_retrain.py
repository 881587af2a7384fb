"""Retraining: never two of a model at once, and which code a branch gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbprod.entities import ModelVersion
from nbprod.errors import ArtifactError, UsageError
from nbprod.evidence.audit import AuditLine
from nbprod.lifecycle import retrain as retraining
from nbprod.lifecycle.recipe import branch, tip
from nbprod.lifecycle.retrain import Asking, Bench, alone, also_asked, retrain
from nbprod.lifecycle.shadowing import BEGUN
from nbprod.lifecycle.workspace import open_workspace
from nbprod.retraining.decide import Decision
from nbprod.retraining.policy import RetrainPolicy

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_retrainings_of_a_model_never_run_at_once_and_one_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as work:
        with alone(work, "churn") as free:
            assert free == "yes"
        place = work.project.data / "locks" / "retrain-churn.lock"
        other = subprocess.Popen([sys.executable, "-c", HOLD, str(place)], stdout=subprocess.PIPE)
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with alone(work, "churn") as free, alone(work, "prices") as another:
            assert (free, another) == ("no", "yes")
        other.kill()
        other.communicate()
        with alone(work, "churn") as free:
            assert free == "yes"


def test_the_code_of_a_branch_is_its_tip_in_a_folder_of_its_own(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *words]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout.strip()

    project = tmp_path / "project"
    project.mkdir()
    git("init", "-q", "-b", "main")
    (project / "code.py").write_text("old\n")
    git("add", "-A")
    git("commit", "-qm", "first")
    git("checkout", "-qb", "next")
    (project / "code.py").write_text("new\n")
    git("commit", "-qam", "second")
    git("checkout", "-q", "main")
    with branch("next", project=project, into=tmp_path / "into") as (root, said):
        assert (root / "code.py").read_text() == "new\n"
        assert said == f"the branch next at {git('rev-parse', 'next')[:12]}"
    assert not (tmp_path / "into").exists()
    with pytest.raises(ArtifactError, match="there is no branch 'gone'"):
        tip(project, "gone")


def test_a_challenger_that_was_deleted_waits_in_the_shadow_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = AuditLine(
        seq=1, time="2026-05-28T12:00:00Z", key="", user="", action=BEGUN, model="churn", version="2"
    )  # fmt: skip

    class Waiting(Bench):
        def lines(self) -> tuple[AuditLine, ...]:
            return (begun,)

    nowhere: Any = None
    champion = ModelVersion(name="churn", version="1")
    bench = Waiting(work=nowhere, registry=nowhere, champion=champion, policy=RetrainPolicy(), keys=nowhere)
    challenger = ModelVersion(name="churn", version="2")
    monkeypatch.setattr(retraining, "known_versions", lambda _: (champion, challenger))
    assert bench.shadow() == (challenger, begun)
    monkeypatch.setattr(retraining, "known_versions", lambda _: (champion,))
    assert bench.shadow() is None


@pytest.mark.parametrize("text", ["churn/1", "churn@challenger"])
def test_only_the_champion_is_retrained_so_no_other_version_can_be_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"name the model alone: churn, not {text}"):
        retrain(Asking(name=text))


def test_what_failed_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    bench: Any = SimpleNamespace(
        champion=SimpleNamespace(ref="churn/1", name="churn"), lines=tuple, note=lambda *words: told.append(words[-1])
    )

    def no(*_: object) -> None:
        raise ArtifactError("is a pattern that fits no file yet: bring the new data.", file="data/*.csv")

    monkeypatch.setattr(retraining, "_made", no)
    found = retraining._retrained(bench, Decision(act="retrain", reason="asked."), told.append)
    assert found.reason == told[-1] == "data/*.csv: is a pattern that fits no file yet: bring the new data."


def test_a_dry_run_says_what_is_not_there_rather_than_that_it_would_retrain(tmp_path: Path) -> None:
    entry = {"run": {"stages": []}, "inputs": [], "pipeline": {"sections": {}}}
    champion: Any = SimpleNamespace(ref="churn/1", name="churn", entry=entry)
    decision = Decision(act="retrain", trigger="asked", reason="somebody asked for it.")
    with open_workspace(tmp_path) as work:
        for policy, said in (
            (RetrainPolicy(data={"prepare.raw": "data/*.csv"}), "data/*.csv: is a pattern that fits no file yet"),
            (RetrainPolicy(source="next"), "next"),
        ):
            bench: Any = SimpleNamespace(work=work, champion=champion, policy=policy)
            found = retraining._would(bench, decision)
            assert found.state == "wait"
            assert found.reason.startswith("it would fail: ") and said in found.reason
        bench = SimpleNamespace(work=work, champion=champion, policy=RetrainPolicy())
        assert retraining._would(bench, decision).state == "would"


@pytest.mark.parametrize(("metric", "much"), [("mae", 6.0), ("accuracy", 0.02)])
def test_the_comparison_that_is_asked_beside_fits_the_unit_of_the_metric(metric: str, much: float) -> None:
    entry = {
        "model": {"main_metric": metric, "target": "y"}, "inputs": [{"role": "test"}],
        "metrics": [{"name": metric, "dataset": role, "value": of} for role, of in (("train", 1.0), ("test", 300.0))],
        "pipeline": {"sections": {}, "path": "p.yaml", "text": ""},
    }  # fmt: skip
    version: Any = SimpleNamespace(ref="n/1", entry=entry)
    (spec,) = also_asked(version, version)
    assert (spec.name, spec.options["tolerance"]) == ("not_worse_than", pytest.approx(much))
