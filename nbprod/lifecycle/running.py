"""Run what must run, record it, register the model; loaded only when something is to be done."""

from __future__ import annotations

import json
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, replace

from nbprod.entities import ModelSpec, ModelVersion, Run
from nbprod.errors import NbprodError, RegistryError
from nbprod.evidence.entry import InputEvidence
from nbprod.evidence.source import GitState, git_state
from nbprod.lifecycle.datasets import datasets_of
from nbprod.lifecycle.inspecting import inspecting, inspector
from nbprod.lifecycle.notebooks import model_of
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.registering import Candidate, record_run, register_candidate
from nbprod.lifecycle.report import RunOptions, RunReport
from nbprod.lifecycle.services import RegistryTracking, Services, open_services
from nbprod.lifecycle.subject.blocking import holding
from nbprod.lifecycle.subject.indexing import index_outputs
from nbprod.lifecycle.workspace import Workspace, keys_digest
from nbprod.pipeline.attempt import Bench
from nbprod.pipeline.events import Watch
from nbprod.pipeline.folders import new_run_id, running_lock
from nbprod.pipeline.runner import Runner
from nbprod.plugins import resolve
from nbprod.trust.keys import Keys

NO_MODEL = "no model was logged, so nothing was registered: call nbprod.log_model(model, example=X.head())."
NO_DATA = (
    'the entry knows nothing of the data, because no input is named: write paths as `data = "rows.csv"  # input` in a '
    "cell tagged `parameters`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run that ended, with all that registering its model needs.

    Attributes:
        tracking: the registry's id of the run, once it is recorded.
    """

    bound: Bound
    options: RunOptions
    run: Run
    git: GitState
    tracking: str = ""


def _expects(bound: Bound, options: RunOptions) -> str:
    """Whether a model will have to be replayed."""
    if options.registering == "no" or bound.partial:
        return "nothing"
    if bound.pipeline.model is not None:
        return "model"
    single = len(bound.stages) == 1 and not bound.pipeline.path
    words = ("log_model", "autolog")
    return "model" if single and any(bound.stages[0].source.mentions(word) for word in words) else "nothing"


def _trusted(bound: Bound) -> str:
    """The types that models may hold beside nbprod's own list; see `Bench`."""
    pipeline = bound.pipeline
    if not pipeline.path:
        return ""
    return json.dumps(list(pipeline.model.trusted) if pipeline.model else [])


def run_some(work: Workspace, bound: Bound, options: RunOptions, watch: Watch) -> RunReport:
    """Run a pipeline of which something changed; see `nbprod.lifecycle.run`."""
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
            trusted=_trusted(bound),
            inspect=inspecting(inspector(pipeline), holding(work, bound)),
        )
        runner = Runner(bench, work.planner(pipeline, bound.forced), jobs=options.jobs or project.settings.jobs)
        with running_lock(project, run_id):
            ended = runner.run(bound.everything)
        return _after(work, services, Finished(bound=bound, options=options, run=ended, git=git))


def _after(work: Workspace, services: Services, finished: Finished) -> RunReport:
    """Record the run with the registry, then register its model."""
    notes: list[str] = []
    run = finished.run
    try:
        datasets = _datasets(work, finished)
        tracking = record_run(work, services, run, finished.git, bound=finished.bound, datasets=datasets)
    except (RegistryError, CancelledError) as error:
        if run.status == "succeeded" and finished.options.registering == "yes":
            raise
        tracking = ""
        notes.append(f"the run could not be recorded in MLflow: {error}")
    if run.status != "succeeded":
        return RunReport(run=run, notes=tuple(notes))
    index_outputs(work, finished.bound, run)
    version, registered, more = _register(work, services, replace(finished, tracking=tracking))
    report = RunReport(run=run, version=version, registered=registered, notes=(*notes, *more))
    return _judged(work, services, report) if registered else report


def _judged(work: Workspace, services: Services, report: RunReport) -> RunReport:
    """The report with what the gates found; the version is registered, whatever they say."""
    assert report.version is not None
    if not report.version.entry["pipeline"]["sections"].get("gates"):
        return report
    from nbprod.lifecycle.judging import judge

    try:
        return replace(report, results=judge(work, services.registry, report.version).results)
    except NbprodError as error:
        return replace(report, notes=(*report.notes, f"the gates could not be asked: {error}"))


def _datasets(work: Workspace, finished: Finished) -> tuple[InputEvidence, ...]:
    """What is known of the datasets of a run that succeeded; what is wrong with them is said when they are registered.

    A run is recorded whatever becomes of its model.
    """
    results = {stage.stage: stage for stage in finished.run.stages}
    if finished.run.status != "succeeded" or finished.bound.partial:
        return ()
    spec = finished.bound.pipeline.model or ModelSpec(name="", source="")
    with suppress(NbprodError):
        return tuple(datasets_of(work, finished.bound, spec, results, "before_run"))
    return ()


def _register(
    work: Workspace, services: Services, finished: Finished
) -> tuple[ModelVersion | None, bool, tuple[str, ...]]:
    """The version, whether it is new, and what to tell the person."""
    bound, options = finished.bound, finished.options
    results = {stage.stage: stage for stage in finished.run.stages}
    if options.registering == "no":
        return None, False, ()
    if bound.partial:
        return None, False, ("only some stages were run (--stage), so nothing was registered.",)
    spec = model_of(bound.pipeline, results, options.name)
    if spec is None:
        return None, False, (NO_MODEL,)
    candidate = Candidate(
        spec=spec,
        bound=bound,
        run=finished.run,
        results=results,
        git=finished.git,
        tracking=finished.tracking,
        keys=keys_digest(bound.pipeline, bound.everything, {name: result.key for name, result in results.items()}),
    )
    keys = Keys()
    first = not keys.has_own
    version, registered = register_candidate(work, services, candidate)
    notes = [] if version.entry["inputs"] else [NO_DATA]
    if first and keys.has_own:
        notes.append(f"made the key {keys.own().id} to sign with, in {keys.folder}: nbprod keys")
    return version, registered, tuple(notes)


def register_reused(work: Workspace, bound: Bound, run: Run, options: RunOptions) -> RunReport:
    """Register a model all of whose stages finished before, because it has no version yet."""
    git = git_state(work.project.root)
    with open_services(work.project, pipeline=bound.pipeline.name, expects="model") as services:
        return _after(work, services, Finished(bound=bound, options=options, run=run, git=git))
