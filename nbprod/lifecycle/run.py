"""Run a pipeline or a notebook, then register its model: the main job."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace

from nbprod.entities import ModelVersion, Run, StageRun
from nbprod.errors import RegistryError, UsageError
from nbprod.evidence.source import GitState, git_state
from nbprod.lifecycle.notebooks import model_of, save_pipeline
from nbprod.lifecycle.plan import Bound, Request, prepare
from nbprod.lifecycle.registering import Candidate, record_run, register_candidate
from nbprod.lifecycle.services import RegistryTracking, Services, open_services
from nbprod.lifecycle.workspace import Workspace, keys_digest, open_workspace, project_start
from nbprod.pipeline.attempt import Bench
from nbprod.pipeline.events import StageEnded, Watch
from nbprod.pipeline.plan import Decision
from nbprod.pipeline.runner import Runner, link_latest, new_run_id, running_lock
from nbprod.plugins import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run.

    Attributes:
        name: register under another name than the pipeline says.
        jobs: stages at once; 0 for the project's setting.
        registering: ``"yes"`` or ``"no"``.
        save: ``"yes"`` to write the pipeline file of a single notebook.
        executor: name under the entry point ``nbprod.executors``.
    """

    name: str | None = None
    jobs: int = 0
    registering: str = "yes"
    save: str = "no"
    executor: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What became of it.

    Attributes:
        registered: whether the version is new.
        notes: sentences for the person.
    """

    run: Run
    version: ModelVersion | None = None
    registered: bool = False
    notes: tuple[str, ...] = ()


def run(request: Request, options: RunOptions, watch: Watch) -> RunReport:
    """Run what must run, reuse the rest, register the model.

    Returns:
        The run as it ended, failed stages included.

    Raises:
        UsageError: it cannot be run as asked; nothing was started.
        ArtifactError: the model does not work outside the project.
        RegistryError: the registry refused; what ran is kept, and the next run registers it.
    """
    if os.name == "nt":
        raise UsageError("running notebooks is not supported on Windows: use WSL; plan, models and show work.")
    with open_workspace(project_start(request.target)) as work:
        bound = prepare(request, work)
        decisions = work.planner(bound.pipeline, bound.forced).plan(bound.stages)
        if all(decision.action == "reuse" for decision in decisions):
            report = _reuse_all(work, bound, decisions, options, watch)
        else:
            report = _run_some(work, bound, options, watch)
        if options.save == "yes":
            report = _save(work, bound, report, options)
        return report


def _expects(bound: Bound, options: RunOptions) -> str:
    """Whether a model will have to be replayed."""
    if options.registering == "no" or bound.partial:
        return "nothing"
    if bound.pipeline.model is not None:
        return "model"
    single = len(bound.stages) == 1 and not bound.pipeline.path
    words = ("log_model", "autolog")
    return "model" if single and any(bound.stages[0].source.mentions(word) for word in words) else "nothing"


def _run_some(work: Workspace, bound: Bound, options: RunOptions, watch: Watch) -> RunReport:
    project, pipeline = work.project, bound.pipeline
    git = git_state(project.root)
    with open_services(project, pipeline=pipeline.name, expects=_expects(bound, options)) as services:
        run_id = new_run_id()
        bench = Bench(
            run=run_id,
            pipeline=pipeline.name,
            project=project,
            index=work.index,
            store=work.store,
            inputs=work.inputs,
            execute=resolve("nbprod.executors", options.executor),
            tracking=RegistryTracking(services=services, project=project, index=work.index, pipeline=pipeline.name),
            watch=watch,
            trusted=json.dumps(list(pipeline.model.trusted) if pipeline.model else []),
        )
        runner = Runner(bench, work.planner(pipeline, bound.forced), jobs=options.jobs or project.settings.jobs)
        with running_lock(project, run_id):
            ended = runner.run(bound.stages)
        return _after(work, bound, ended, options, services, git)


def _after(
    work: Workspace, bound: Bound, ended: Run, options: RunOptions, services: Services, git: GitState
) -> RunReport:
    """Record the run with the registry, then register its model."""
    notes: list[str] = []
    try:
        tracking = record_run(work, services, ended, git, source=bound.pipeline.path)
    except (RegistryError, CancelledError) as error:
        if ended.status == "succeeded" and options.registering == "yes":
            raise
        tracking = ""
        notes.append(f"the run could not be recorded in MLflow: {error}")
    if ended.status != "succeeded":
        return RunReport(run=ended, notes=tuple(notes))
    results = {stage.stage: stage for stage in ended.stages}
    version, registered, more = _register(work, bound, ended, results, options, services, tracking, git)
    return RunReport(run=ended, version=version, registered=registered, notes=(*notes, *more))


def _register(  # noqa: PLR0913 - one argument per fact, all needed together
    work: Workspace, bound: Bound, ended: Run, results: Mapping[str, StageRun], options: RunOptions,
    services: Services, tracking: str, git: GitState,
) -> tuple[ModelVersion | None, bool, list[str]]:  # fmt: skip
    if options.registering == "no":
        return None, False, []
    if bound.partial:
        return None, False, ["only some stages were run (--stage), so nothing was registered."]
    spec = model_of(bound.pipeline, dict(results), options.name)
    if spec is None:
        return (
            None,
            False,
            ["no model was logged, so nothing was registered: call nbprod.log_model(model, example=X.head())."],
        )
    candidate = Candidate(
        spec=spec, bound=bound, run=ended, results=results, git=git, tracking=tracking,
        keys=keys_digest(bound.stages, {name: result.key for name, result in results.items()}),
    )  # fmt: skip
    version, registered = register_candidate(work, services, candidate)
    return version, registered, []


def _reuse_all(
    work: Workspace, bound: Bound, decisions: tuple[Decision, ...], options: RunOptions, watch: Watch
) -> RunReport:
    """Nothing changed: the version that was made from the same keys is the answer; no run is made."""
    results = {d.stage: replace(d.result, action="reuse", reasons=d.reasons) for d in decisions if d.result}
    for result in results.values():
        _restore(work, result)
        watch(StageEnded(stage=result))
    newest = max(results.values(), key=lambda result: result.run)
    past = work.index.run(newest.run)
    run = Run(
        id=newest.run,
        pipeline=bound.pipeline.name,
        status="succeeded",
        started=past.started if past else newest.started,
        ended=past.ended if past else newest.ended,
        stages=tuple(results.values()),
    )
    spec = model_of(bound.pipeline, dict(results), options.name)
    if spec is None or options.registering == "no" or bound.partial:
        return RunReport(run=run)
    keys = keys_digest(bound.stages, {name: result.key for name, result in results.items()})
    known = work.index.version_of_keys(work.project.registry_uri(), spec.name, keys)
    if known:
        return RunReport(run=run, version=known)
    git = git_state(work.project.root)
    with open_services(work.project, pipeline=bound.pipeline.name, expects="model") as services:
        tracking = record_run(work, services, run, git, source=bound.pipeline.path)
        version, registered, notes = _register(work, bound, run, results, options, services, tracking, git)
    return RunReport(run=run, version=version, registered=registered, notes=tuple(notes))


def _restore(work: Workspace, result: StageRun) -> None:
    """Make ``runs/latest`` show what is reused; outputs that somebody deleted come back from the store."""
    files = [*result.outputs.values(), *([result.executed] if result.executed else [])]
    for artifact in files:
        path = work.project.root / artifact.uri
        if not path.exists():
            work.store.place(artifact, path)
    link_latest(work.project, result.run, result.stage)


def _save(work: Workspace, bound: Bound, report: RunReport, options: RunOptions) -> RunReport:
    if bound.pipeline.path:
        raise UsageError(
            "--save is for a single notebook: this is a pipeline's file already.", file=bound.pipeline.path
        )
    results = {stage.stage: stage for stage in report.run.stages}
    spec = model_of(bound.pipeline, results, options.name) if report.run.status == "succeeded" else None
    (item,) = bound.stages
    path = save_pipeline(bound.pipeline, item.params, spec, project=work.project)
    return replace(report, notes=(*report.notes, f"wrote {work.project.relative(path)}"))
