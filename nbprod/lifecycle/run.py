"""Run a pipeline or a notebook, then register its model: the main job."""

from __future__ import annotations

import os
from dataclasses import replace

from nbprod.entities import Run, StageRun
from nbprod.errors import ArtifactError, UsageError
from nbprod.lifecycle.cards import cards_of
from nbprod.lifecycle.notebooks import expected_model, model_of, save_pipeline, with_own_types
from nbprod.lifecycle.plan import Bound, Request, prepare
from nbprod.lifecycle.report import RunOptions, RunReport
from nbprod.lifecycle.workspace import Workspace, keys_digest, open_workspace, project_start
from nbprod.pipeline.events import StageEnded, Watch
from nbprod.pipeline.folders import link_latest
from nbprod.pipeline.plan import Decision
from nbprod.pipeline.repeats import MARK


def run(request: Request, options: RunOptions, watch: Watch) -> RunReport:
    """Run what must run, reuse the rest, register the model.

    Returns:
        The run as it ended, failed stages included.

    Raises:
        UsageError: it cannot be run as asked, or an input holds a subject who is erased; nothing was started.
        ArtifactError: the model does not work outside the project.
        RegistryError: the registry refused; what ran is kept, and the next run registers it.
    """
    if os.name == "nt":
        raise UsageError("running notebooks is not supported on Windows: use WSL; plan, models and show work.")
    with open_workspace(project_start(request.target)) as work:
        bound = prepare(request, work)
        _check_subjects(work, bound)
        decisions = work.planner(bound.pipeline, bound.forced).plan(bound.everything)
        if all(decision.action == "reuse" for decision in decisions):
            report = _reuse_all(work, bound, decisions, options, watch)
        else:
            _check_environment(bound, decisions)
            from nbprod.lifecycle.running import run_some  # loads what only a real run needs

            report = run_some(work, bound, options, watch)
        if options.save == "yes":
            report = _save(work, bound, report, options)
        return report


def _check_subjects(work: Workspace, bound: Bound) -> None:
    """Read the cards, index who is in the inputs, and refuse those who are erased.

    Nothing more is loaded where no card names a subject.
    """
    if any(card.subject for card in cards_of(work, bound).values()):
        from nbprod.lifecycle.subject.blocking import check_inputs

        check_inputs(work, bound)


def _check_environment(bound: Bound, decisions: tuple[Decision, ...]) -> None:
    """Refuse to start a stage whose environment variables are not set."""
    running = {decision.stage for decision in decisions if decision.action == "run"}
    for item in bound.stages:
        missing = [name for name in item.stage.env if item.name in running and name not in os.environ]
        if missing:
            raise UsageError(
                f"stage '{item.name}' needs the environment variable {missing[0]}, which is not set: export it first.",
                file=bound.pipeline.path or None,
                line=item.stage.line or None,
                stage=item.name,
            )


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
    keys = keys_digest(bound.pipeline, bound.everything, {name: result.key for name, result in results.items()})
    known = work.index.version_of_keys(work.project.registry_uri(), spec.name, keys)
    if known:
        return RunReport(run=run, version=known)
    from nbprod.lifecycle.running import register_reused

    try:
        return register_reused(work, bound, run, options)
    except ArtifactError as error:
        error.message += " Nothing ran, since nothing changed: change what makes it, or run it again with --force."
        raise


def _restore(work: Workspace, result: StageRun) -> None:
    """Make ``runs/latest`` show what is reused; outputs that somebody deleted come back from the store."""
    for artifact in result.outputs.values():
        path = work.project.root / artifact.uri
        if not path.exists():
            work.store.place(artifact, path)
    if result.executed and not (work.project.root / result.executed.uri).exists():
        work.store.place_copy(result.executed, work.project.root / result.executed.uri)
    if MARK not in result.stage:
        link_latest(work.project, result.run, result.stage)


def _save(work: Workspace, bound: Bound, report: RunReport, options: RunOptions) -> RunReport:
    if bound.pipeline.path:
        raise UsageError(
            "--save is for a single notebook: this is a pipeline's file already.", file=bound.pipeline.path
        )
    (item,) = bound.stages
    results = {stage.stage: stage for stage in report.run.stages}
    if report.run.status == "succeeded":
        spec = model_of(bound.pipeline, results, options.name)
        if spec:
            made = results[item.name].outputs[spec.source.partition(".")[2]]
            spec = with_own_types(spec, work.project.root / made.uri)
    else:
        spec = expected_model(item, options.name)
    path = save_pipeline(bound.pipeline, item.params, spec, project=work.project)
    return replace(report, notes=(*report.notes, f"wrote {work.project.relative(path)}"))
