"""Decide which stages must run, without running any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nbprod.config import Project
from nbprod.document import seconds
from nbprod.entities import Action, Artifact, StageRun
from nbprod.errors import StageFailed
from nbprod.index import Index
from nbprod.pipeline import fingerprint
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.inputs import Inputs
from nbprod.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with a stage, and why.

    Attributes:
        key: empty while something it needs has yet to run.
        result: the finished execution that is reused.
        previous: the run that last finished a stage with this key, reused or not.
    """

    stage: str
    action: Action
    reasons: tuple[str, ...] = ()
    key: str = ""
    parts: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    result: StageRun | None = None
    previous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """What deciding needs to know.

    Attributes:
        forced: stages that run even if nothing changed.
    """

    pipeline: str
    project: Project
    index: Index
    store: Store
    inputs: Inputs
    forced: frozenset[str] = frozenset()

    def plan(self, bound: Iterable[BoundStage]) -> tuple[Decision, ...]:
        """Decide for all stages, in their order. A stage whose inputs are yet to be made is said to run."""
        done: dict[str, StageRun] = {}
        running: set[str] = set()
        decisions: list[Decision] = []
        for item in bound:
            waits = [stage for stage, _ in item.sources.values() if stage in running]
            if waits:
                reasons = tuple(f"{stage} runs before it" for stage in dict.fromkeys(waits))
                decision = Decision(stage=item.name, action="run", reasons=reasons)
            else:
                decision = self._planned(item, done)
            if decision.result:
                done[item.name] = decision.result
            else:
                running.add(item.name)
            decisions.append(decision)
        return tuple(decisions)

    def _planned(self, item: BoundStage, done: Mapping[str, StageRun]) -> Decision:
        """A stage that cannot have its input fails when it is its turn; the others are planned all the same."""
        try:
            return self.decide(item, done)
        except StageFailed as error:
            return Decision(stage=item.name, action="run", reasons=(error.message,))

    def decide(self, item: BoundStage, done: Mapping[str, StageRun]) -> Decision:
        """Decide for one stage, given what the stages before it left."""
        inputs = self.inputs.of(item, done)
        parts = fingerprint.parts(
            source=item.source,
            stage=item.stage,
            params=item.params,
            inputs={name: artifact.sha256 for name, artifact in inputs.items()},
            project=self.project.root,
            environment=item.kernel,
        )
        if item.repeat > 1:  # a repeat is never taken for a stage that was given its seed
            parts["repeat"] = item.repeat
        key = fingerprint.key(parts)
        found = self.index.result(key)
        reasons = self._reasons(item, parts, found)
        return Decision(
            stage=item.name,
            action="run" if reasons else "reuse",
            reasons=reasons or (f"same key as run {found.run}" if found else "",),
            key=key,
            parts=parts,
            inputs=inputs,
            result=None if reasons else found,
            previous=found.run if found else "",
        )

    def _reasons(self, item: BoundStage, parts: Mapping[str, Any], found: StageRun | None) -> tuple[str, ...]:
        """Why a stage must run; nothing if it need not."""
        if item.name in self.forced:
            return ("--force",)
        if found is None:
            last = self.index.last_result(self.pipeline, item.name)
            if last is None:
                return ("it never ran",)
            return fingerprint.differences(last.parts, parts) or ("it never ran so",)
        if item.stage.refresh == "always":
            return ("refresh: always",)
        if item.stage.refresh and _age(found.ended) > (seconds(item.stage.refresh) or 0.0):
            return (f"older than refresh: {item.stage.refresh}",)
        kept = [*found.outputs.values(), *([found.executed] if found.executed else [])]
        gone = [artifact.name for artifact in kept if not self.store.holds(artifact)]
        return tuple(f"its {name} is no longer in the store" for name in gone)


def _age(ended: str) -> float:
    """Seconds since a time in ISO 8601."""
    return (datetime.now(UTC) - datetime.fromisoformat(ended)).total_seconds()
