"""Run one stage: start its notebook, then measure what it left."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nbprod.config import Project
from nbprod.digest import identity, members, sha256_path, size_of
from nbprod.entities import Artifact, CellError, Metric, Role, StageRun
from nbprod.errors import ArtifactError, NbprodError, nearest
from nbprod.executors import Control, Execution, Outcome
from nbprod.index import Index
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.events import CellStarted, StageStarted, StageWaits, Watch
from nbprod.pipeline.extract import Extract, extract
from nbprod.pipeline.inputs import Inputs
from nbprod.pipeline.plan import Decision
from nbprod.pipeline.source import read_notebook
from nbprod.registry import Observed
from nbprod.registry.context import marker as mlflow_marker
from nbprod.store import Store, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

Executor = Callable[[Execution, Control], Outcome]
Inspect = Callable[[str, Mapping[str, Path]], Iterable[str]]
"""Stage, and parameter -> path of what it reads -> what is wrong with that."""


class Tracking(Protocol):
    """The model registry as a running stage sees it."""

    def environment(self, item: BoundStage) -> dict[str, str]:
        """Variables with which plain MLflow calls in a kernel find the registry.

        Waits for it if the notebook uses MLflow.
        """
        ...

    def observed(self, run: str, stage: str, folder: Path) -> Observed:
        """What plain MLflow calls in a stage logged; its models are brought under ``folder``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that running a stage needs, the same for all stages of a run.

    Attributes:
        trusted: JSON list of the types that models may hold beside nbprod's own list; empty for a notebook without a
            pipeline's file, where nobody could list any: there the project's own types are accepted.
        inspect: what is wrong with a stage's inputs, a sentence each, before its notebook begins.
    """

    run: str
    pipeline: str
    project: Project
    index: Index
    store: Store
    inputs: Inputs
    execute: Executor
    tracking: Tracking
    watch: Watch
    trusted: str = "[]"
    inspect: Inspect = lambda stage, paths: ()

    @property
    def folder(self) -> Path:
        """``runs/<run>``."""
        return self.project.runs / self.run


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def run_stage(bench: Bench, item: BoundStage, decision: Decision, control: Control) -> StageRun:
    """Run a stage, or take the result of another process that was running it at the same time.

    Returns:
        How it ended; it does not raise for what a notebook does.
    """
    with _alone(bench, item, decision, control):
        other = bench.index.result(decision.key)
        if other is not None and other.run != decision.previous:
            return place_result(bench, replace(other, reasons=(f"run {other.run} made it meanwhile",)))
        started, clock = now(), time.monotonic()
        for attempt in range(1, item.stage.retries + 2):
            bench.watch(StageStarted(stage=item.name, reasons=decision.reasons, attempt=attempt))
            ended = _attempt(bench, item, decision, control, attempt=attempt)
            if isinstance(ended, StageRun) or control.reason:
                break
        result = ended if isinstance(ended, StageRun) else _failed(bench, item, decision, ended)
        seconds = round(time.monotonic() - clock, 3)
        result = replace(result, attempts=attempt, started=started, ended=now(), seconds=seconds)
        if result.status == "succeeded":
            # Before the lock is freed: whoever waits for it must find the result.
            bench.index.save_result(result)
        return result


@contextmanager
def _alone(bench: Bench, item: BoundStage, decision: Decision, control: Control) -> Iterator[None]:
    """Hold the lock of a stage's key, so that two runs do not do the same work; the system frees it if we die."""
    from filelock import FileLock, Timeout

    folder = bench.project.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{decision.key[:32]}.lock", thread_local=False)
    told = False
    while not control.reason:
        try:
            lock.acquire(timeout=0.2)
            break
        except Timeout:
            if not told:
                bench.watch(StageWaits(stage=item.name))
                told = True
    try:
        yield
    finally:
        lock.release()


def _attempt(
    bench: Bench, item: BoundStage, decision: Decision, control: Control, *, attempt: int
) -> StageRun | Outcome:
    """Execute the notebook once, then measure; an `Outcome` says why that failed."""
    folder = bench.folder / item.name
    target = bench.folder / f"{item.name}.ipynb"
    remove(folder)
    folder.mkdir(parents=True)
    marker = mlflow_marker(folder)
    paths = {name: bench.inputs.path(artifact) for name, artifact in decision.inputs.items()}
    if refused := tuple(bench.inspect(item.name, paths)):
        return Outcome(error=CellError(message=" ".join(refused)), pending=len(item.source.cells))
    outputs = {name: folder / file for name, file in item.stage.outputs.items()}
    for path in outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    before = {name: _identities(path) for name, path in paths.items()}
    job = Execution(
        notebook=item.source.notebook,
        parameters={**item.params, **{n: str(p) for n, p in {**paths, **outputs}.items()}},
        kernel=item.kernel.kernel,
        folder=item.source.path.resolve().parent,
        environment=_environment(bench, item, folder, attempt),
        target=target,
        on_cell=lambda cell, cells: bench.watch(CellStarted(stage=item.name, cell=cell, cells=cells)),
    )
    try:
        outcome = _timed(bench, item, control, job)
        if outcome.error is not None:
            return outcome
        touched = [name for name, path in paths.items() if _identities(path) != before[name]]
        return _measured(bench, item, decision, outcome, touched=touched, marker=marker)
    finally:
        marker.unlink(missing_ok=True)


def _measured(
    bench: Bench, item: BoundStage, decision: Decision, outcome: Outcome, *, touched: list[str], marker: Path
) -> StageRun | Outcome:
    """What a notebook that ran well left, unless it changed an input or left less than it should."""
    # Only bytes count: a hard link of the same file that comes or goes touches it, too.
    changed = [n for n in touched if _digest(bench.inputs.path(decision.inputs[n])) != decision.inputs[n].sha256]
    if changed:
        return replace(outcome, error=_changed(bench, decision, changed))
    try:
        return _collect(bench, item, decision, outcome, marker=marker)
    except (NbprodError, OSError) as error:
        return replace(outcome, error=CellError(message=str(error)))


def _timed(bench: Bench, item: BoundStage, control: Control, job: Execution) -> Outcome:
    """Execute, and stop when the stage's time is over."""
    limit = item.stage.timeout or bench.project.settings.timeout
    if not limit:
        return bench.execute(job, control)
    timer = threading.Timer(limit, control.stop, args=("timeout",))
    timer.daemon = True
    timer.start()
    try:
        outcome = bench.execute(job, control)
    finally:
        timer.cancel()
    if outcome.stopped == "timeout" and outcome.error:
        control.forget("timeout")
        message = f"took longer than its timeout of {limit:g} s."
        return replace(outcome, error=replace(outcome.error, message=message))
    return outcome


def _environment(bench: Bench, item: BoundStage, folder: Path, attempt: int) -> dict[str, str]:
    return {
        "NBPROD_PROJECT": str(bench.project.root),
        "NBPROD_RUN": bench.run,
        "NBPROD_STAGE": item.name,
        "NBPROD_ATTEMPT": str(attempt),
        "NBPROD_STAGE_DIR": str(folder),
        "NBPROD_TRUSTED": bench.trusted,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Threads that spin while they wait slow stages that run side by side down tenfold; results do not change.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
        **bench.tracking.environment(item),
    }


def _identities(path: Path) -> list[Any]:
    """What changes when a file or any member of a folder does."""
    if path.is_dir():
        return [(name, identity(file)) for name, file in members(path)]
    return [identity(path) if path.exists() else None]


def _digest(path: Path) -> str:
    """Digest of a file or folder, read now; empty if it is gone."""
    return sha256_path(path) if path.exists() else ""


def _changed(bench: Bench, decision: Decision, names: list[str]) -> CellError:
    """The error for a stage that wrote to its inputs; what nbprod put there is put back."""
    for name in names:
        artifact = decision.inputs[name]
        path = bench.inputs.path(artifact)
        ours = path.is_relative_to(bench.project.runs)
        if "://" in artifact.uri:
            remove(path)  # so that it is fetched again
        if ours and bench.store.holds(artifact):
            with suppress(ArtifactError):  # the store noticed that its own bytes were changed
                bench.store.place(artifact, path)
    listed = ", ".join(f"'{name}' ({decision.inputs[name].uri})" for name in names)
    return CellError(message=f"changed its input {listed}: write to an output instead, inputs are only read.")


def _collect(bench: Bench, item: BoundStage, decision: Decision, outcome: Outcome, *, marker: Path) -> StageRun:
    """Measure and keep what a stage left, after its notebook ran well."""
    folder = bench.folder / item.name
    target = bench.folder / f"{item.name}.ipynb"
    said = extract(read_notebook(target, label=bench.project.relative(target)), stage=item.name)
    seen = Observed()
    if marker.exists():
        seen = bench.tracking.observed(bench.run, item.name, folder)
    outputs = {name: _kept(bench, name, folder / file, role="output") for name, file in item.stage.outputs.items()}
    for role, names in (("artifact", said.artifacts), ("model", (*said.models, *seen.models))):
        for name in names:
            if name not in outputs:
                outputs[name] = _kept(bench, name, folder / name, role=role)  # type: ignore[arg-type]
    bench.inputs.keep(item, decision.inputs)
    executed = _executed(bench, target, sha256=bench.store.keep(target))
    return StageRun(
        **_facts(bench, item, decision),
        status="succeeded",
        outputs=outputs,
        metrics=_merged(said, seen, item.name),
        executed=executed,
        cells=outcome.cells,
        tracked=seen.runs,
    )


def _executed(bench: Bench, target: Path, *, sha256: str) -> Artifact:
    """An executed notebook as an artifact."""
    return Artifact(name=target.name, uri=bench.project.relative(target), sha256=sha256, size=target.stat().st_size)


def _merged(said: Extract, seen: Observed, stage: str) -> tuple[Metric, ...]:
    """Metrics that the notebook reported, then those that it logged with MLflow under other names."""
    known = {(m.name, m.dataset) for m in said.metrics}
    return (*said.metrics, *(replace(m, stage=stage) for m in seen.metrics if (m.name, m.dataset) not in known))


def _kept(bench: Bench, name: str, path: Path, *, role: Role) -> Artifact:
    """Measure something a stage left and keep it in the store."""
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ArtifactError(
            f"the notebook ended well but left no {role} '{name}' at {bench.project.relative(path)}: write it to "
            f"the path in the parameter '{name}'.{nearest(path.name, beside)}"
            if role == "output"
            else f"the {role} '{name}' was logged but is not at {bench.project.relative(path)}."
        )
    sha256 = bench.store.adopt(path)
    return Artifact(
        name=name,
        uri=bench.project.relative(path),
        sha256=sha256,
        size=size_of(path),
        kind="folder" if path.is_dir() else "file",
        role=role,
    )


def _facts(bench: Bench, item: BoundStage, decision: Decision) -> dict[str, Any]:
    defaults = {p.name: p.default for p in item.parameters if p.literal and not p.role}
    taken = (*item.stage.inputs, *item.stage.outputs)
    return {
        "stage": item.name,
        "notebook": item.stage.notebook,
        "pipeline": bench.pipeline,
        "run": bench.run,
        "key": decision.key,
        "parts": decision.parts,
        "reasons": decision.reasons,
        "params": {name: value for name, value in {**defaults, **item.params}.items() if name not in taken},
        "inputs": decision.inputs,
    }


def _failed(bench: Bench, item: BoundStage, decision: Decision, outcome: Outcome) -> StageRun:
    """The record of a stage that did not succeed.

    Its executed notebook and partial outputs stay for a person to look at.
    """
    target = bench.folder / f"{item.name}.ipynb"
    executed = _executed(bench, target, sha256=sha256_path(target)) if target.exists() else None
    return StageRun(
        **_facts(bench, item, decision),
        status="interrupted" if outcome.stopped == "interrupted" else "failed",
        executed=executed,
        cells=outcome.cells,
        pending=outcome.pending,
        error=outcome.error,
    )


def place_result(bench: Bench, result: StageRun) -> StageRun:
    """Put the outputs of an earlier execution into this run's folder, so that a run's folder is whole."""
    outputs: dict[str, Artifact] = {}
    old = f"runs/{result.run}/"
    for name, artifact in result.outputs.items():
        uri = f"runs/{bench.run}/{artifact.uri.removeprefix(old)}"
        bench.store.place(artifact, bench.project.root / uri)
        outputs[name] = replace(artifact, uri=uri)
    executed = result.executed
    if executed:
        uri = f"runs/{bench.run}/{result.stage}.ipynb"
        bench.store.place_copy(executed, bench.project.root / uri)
        executed = replace(executed, uri=uri)
    return replace(result, action="reuse", outputs=outputs, executed=executed)
