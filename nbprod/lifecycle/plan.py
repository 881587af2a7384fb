"""Say which stages would run, and why, without running any."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nbprod.digest import sha256_bytes
from nbprod.document import load_yaml
from nbprod.entities import Pipeline
from nbprod.errors import PipelineError, UsageError, nearest
from nbprod.evidence.card import read_card
from nbprod.lifecycle.notebooks import pipeline_of_notebook
from nbprod.lifecycle.workspace import Workspace, find_pipeline, open_workspace, project_start
from nbprod.pipeline.bind import BoundStage, Setting, bind
from nbprod.pipeline.graph import ancestors
from nbprod.pipeline.plan import Decision
from nbprod.pipeline.repeats import base_name, repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to plan or run.

    Attributes:
        target: a pipeline's file or name, or a notebook; None for the only pipeline.
        settings: values from ``-f`` and ``-p``.
        preset: name of a preset in the pipeline's file.
        stages: run only these and what they need; empty means all.
        kernel: runs all notebooks, whatever kernel they name.
        forced: whether stages run even if nothing changed: ``"no"``, or ``"yes"``.
        repeating: whether stages with ``repeats`` also run with other seeds: ``"yes"``, or ``"no"``.
        parent: digest of the entry of the version that is retrained; empty for none.
        onward: digest of the entry of the version that an update goes on from; empty for the one that its alias says.
    """

    target: str | None = None
    settings: tuple[Setting, ...] = ()
    preset: str | None = None
    stages: tuple[str, ...] = ()
    forced: str = "no"
    kernel: str = ""
    repeating: str = "yes"
    parent: str = ""
    onward: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A pipeline that can be planned and run.

    Attributes:
        repeats: what is run again with other seeds; see `nbprod.pipeline.repeats`.
        partial: whether some of its stages were left out by ``--stage``.
        parent: what the entry will say of the version that it comes from.
        hidden: (stage, parameter) of inputs that are no datasets: the version that a stage goes on from.
    """

    pipeline: Pipeline
    stages: tuple[BoundStage, ...]
    repeats: tuple[BoundStage, ...] = ()
    forced: tuple[str, ...] = ()
    partial: bool = False
    parent: Mapping[str, str] | None = None
    hidden: frozenset[tuple[str, str]] = frozenset()

    @property
    def everything(self) -> tuple[BoundStage, ...]:
        """The stages, then their repeats."""
        return (*self.stages, *self.repeats)


def plan(request: Request) -> tuple[str, tuple[Decision, ...]]:
    """The pipeline's name, and what would be done with each stage, in order."""
    with open_workspace(project_start(request.target)) as work:
        bound = prepare(request, work)
        return bound.pipeline.name, work.planner(bound.pipeline, bound.forced).plan(bound.everything)


def prepare(request: Request, work: Workspace) -> Bound:
    """Read, complete and check what was asked for; see `Request`."""
    settings = request.settings
    if request.target and request.target.endswith(".ipynb"):
        pipeline = pipeline_of_notebook(request.target, work.project)
    else:
        pipeline = find_pipeline(request.target, work.project)
    if request.preset is not None:
        settings = (*_preset(pipeline, request.preset), *settings)
    _check_stages(pipeline, request.stages)
    for check in section_checks(pipeline, work):
        check()
    parent: Mapping[str, str] | None = None
    hidden: frozenset[tuple[str, str]] = frozenset()
    if request.parent or "update" in pipeline.sections:
        from nbprod.lifecycle.updating import give_parent

        given = give_parent(pipeline, work, settings, retrained=request.parent, onward=request.onward)
        pipeline, parent, hidden = given.pipeline, given.parent, given.hidden
    stages = bind(pipeline, work.project, settings=settings, kernel=request.kernel, cache=work.index)
    chosen = ancestors(pipeline, request.stages) if request.stages else {s.name for s in pipeline.stages}
    names = request.stages or tuple(chosen)
    taken = tuple(item for item in stages if item.name in chosen)
    repeats = repeated(pipeline, taken) if request.repeating == "yes" else ()
    again = tuple(item.name for item in repeats if base_name(item.name) in names)
    return Bound(
        pipeline=pipeline,
        stages=taken,
        repeats=repeats,
        forced=(*names, *again) if request.forced == "yes" else (),
        partial=len(chosen) < len(pipeline.stages),
        parent=parent,
        hidden=hidden,
    )


def section_checks(pipeline: Pipeline, work: Workspace) -> tuple[Callable[[], None], ...]:
    """What holds each section of a pipeline against what it may say; each raises PipelineError."""
    return (
        partial(check_gates, pipeline, work),
        partial(check_log, pipeline, work),
        partial(check_monitor, pipeline),
        partial(check_retrain, pipeline, work),
    )


def check_gates(pipeline: Pipeline, work: Workspace) -> None:
    """Hold the pipeline's gates against their functions; a section that was good once is not read again.

    Raises:
        PipelineError: a gate or an option is not known, or has a value of another type.
    """
    section = pipeline.sections.get("gates")
    if section is None:
        return
    from nbprod import __version__
    from nbprod.gates.spec import read_gates

    name = f"gates {sha256_bytes(json.dumps(section, sort_keys=True).encode())} are good for {__version__}"
    if work.index.recall(name) is None:
        read_gates(section, file=pipeline.path or None, text=pipeline.text)
        work.index.remember(name, "yes")


def check_log(pipeline: Pipeline, work: Workspace) -> None:
    """Check what the pipeline says of the prediction log, also against the cards of the data that it reads.

    Raises:
        PipelineError: a key or a value is wrong, or a column that a card marks is kept for no reason.
    """
    section = pipeline.sections.get("log")
    if section is None:
        return
    from nbprod.predictions.policy import marked_by, read_log

    policy = read_log(section, file=pipeline.path or None, text=pipeline.text)
    files = sorted({text for stage in pipeline.stages for text in stage.inputs.values() if "://" not in text})
    cards = (read_card(work.project.root / text, label=text) for text in files if policy.columns)
    try:
        policy.check_reason(marked_by(card for card in cards if card))
    except UsageError as error:
        line = load_yaml(pipeline.text, file=pipeline.path).line("log", "inputs") if pipeline.text else None
        raise PipelineError(error.message, file=pipeline.path or None, line=line) from error


def check_monitor(pipeline: Pipeline) -> None:
    """Check what the pipeline says of monitoring.

    Raises:
        PipelineError: a key or a value is wrong.
    """
    section = pipeline.sections.get("monitor")
    if section is not None:
        from nbprod.monitoring.policy import read_monitor

        read_monitor(section, file=pipeline.path or None, text=pipeline.text)


def check_retrain(pipeline: Pipeline, work: Workspace) -> None:
    """Check what the pipeline says under ``retrain`` and ``update``.

    Raises:
        PipelineError: a key or a value is wrong, or names no stage.
    """
    if "update" in pipeline.sections:
        from nbprod.lifecycle.updating import policy_of

        policy_of(pipeline)
    section = pipeline.sections.get("retrain")
    if section is None:
        return
    from nbprod.retraining.policy import check_stages, read_retrain

    policy = read_retrain(section, file=pipeline.path or None, text=pipeline.text)
    document = load_yaml(pipeline.text, file=pipeline.path)
    check_stages(policy, {stage.name: stage.inputs for stage in pipeline.stages}, document)


def _preset(pipeline: Pipeline, name: str) -> tuple[Setting, ...]:
    if name not in pipeline.presets:
        raise UsageError(f"there is no preset '{name}'.{nearest(name, pipeline.presets)}", file=pipeline.path or None)
    return tuple(
        Setting(name=key, value=value, origin=f"preset {name}") for key, value in pipeline.presets[name].items()
    )


def _check_stages(pipeline: Pipeline, names: Sequence[str]) -> None:
    known = [stage.name for stage in pipeline.stages]
    for name in names:
        if name not in known:
            raise UsageError(f"there is no stage '{name}'.{nearest(name, known)}", file=pipeline.path or None)
