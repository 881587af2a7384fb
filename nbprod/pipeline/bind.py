"""A pipeline with its notebooks: every stage's parameters typed, its references resolved, its kernel found.

Whatever can be wrong is said here, before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbprod.config import Project
from nbprod.entities import Parameter, Pipeline, Stage
from nbprod.errors import NbprodError, ParameterError, PipelineError, nearest
from nbprod.pipeline.environment import Cache, KernelEnvironment, find_kernel
from nbprod.pipeline.graph import order, reference, references
from nbprod.pipeline.parameters import convert, convert_text, read_parameters, refuse_secret, unknown_parameter
from nbprod.pipeline.source import Source, logged_names, read_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value given beside the YAML: by a preset, a ``-f`` file or ``-p``.

    Attributes:
        name: ``parameter`` (of every stage that has it) or ``stage.parameter``.
        text: whether `value` is text from the command line, to be read by the parameter's type.
        origin: where it was given, for error messages.
    """

    name: str
    value: Any
    text: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundStage:
    """A stage that can run.

    Attributes:
        params: the values that are set, in the types of the parameters cell; others keep the notebook's defaults.
        sources: parameter -> (stage, name) of inputs that other stages make.
        files: parameter -> path or URL of inputs that lie outside the pipeline.
        repeat: 1; for a repeat with another seed its number, see `nbprod.pipeline.repeats`.
    """

    stage: Stage
    source: Source
    parameters: tuple[Parameter, ...]
    kernel: KernelEnvironment
    params: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, tuple[str, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    repeat: int = 1

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage.name

    @property
    def seed(self) -> Any:
        """The value of the parameter ``seed``, set or default; None if there is none."""
        defaults = {p.name: p.default for p in self.parameters if p.literal}
        return self.params.get("seed", defaults.get("seed"))


def bind(
    pipeline: Pipeline, project: Project, *, settings: Iterable[Setting] = (), kernel: str = "", cache: Cache
) -> tuple[BoundStage, ...]:
    """Open the notebooks of a pipeline and check it against them.

    Args:
        kernel: runs all notebooks, whatever kernel they name; empty leaves it to them.

    Returns:
        The stages in an order in which they can run.

    Raises:
        UsageError: the first thing that is wrong, with file, line and nearest match.
    """
    notebooks = {s.name: read_source(project.root / s.notebook, label=s.notebook) for s in pipeline.stages}
    if kernel:
        notebooks = {name: replace(source, kernel=kernel) for name, source in notebooks.items()}
    known = {name: read_parameters(source) for name, source in notebooks.items()}
    pipeline = _with_settings(pipeline, known, tuple(settings))
    stages = order(pipeline)
    for stage in stages:
        _check_references(stage, pipeline, notebooks, project)
    if pipeline.model:
        name, _, artifact = pipeline.model.source.partition(".")
        _check_made(pipeline, notebooks, name, artifact, line=pipeline.model.line, user="model.from")
    bound = [
        bind_stage(stage, pipeline, notebooks[stage.name], known[stage.name], project=project, cache=cache)
        for stage in stages
    ]
    kernels: dict[str, KernelEnvironment] = {}  # shared: what is installed is listed once, not for each stage
    return tuple(replace(item, kernel=kernels.setdefault(item.kernel.kernel, item.kernel)) for item in bound)


def bind_stage(
    stage: Stage,
    pipeline: Pipeline,
    source: Source,
    parameters: tuple[Parameter, ...],
    *,
    project: Project,
    cache: Cache,
) -> BoundStage:
    """Check one stage against its notebook; see `bind`."""
    by_name = {p.name: p for p in parameters}
    file, line = pipeline.path or None, stage.line or None
    for name in (*stage.params, *stage.inputs, *stage.outputs):
        if name not in by_name:
            raise unknown_parameter(name, parameters, source=source, stage=stage.name, file=file, line=line)
    for name in (*by_name, *stage.params):
        refuse_secret(name, file=stage.notebook, stage=stage.name)
    sources = references(stage, pipeline)
    return BoundStage(
        stage=stage,
        source=source,
        parameters=parameters,
        kernel=find_kernel(source.kernel, default=project.settings.kernel, label=stage.notebook, cache=cache),
        params={
            name: convert(value, by_name[name], stage=stage.name, file=file, line=line)
            for name, value in stage.params.items()
        },
        sources=sources,
        files={name: text for name, text in stage.inputs.items() if name not in sources},
    )


def _with_settings(
    pipeline: Pipeline, known: Mapping[str, tuple[Parameter, ...]], settings: tuple[Setting, ...]
) -> Pipeline:
    """The pipeline with values from presets, files and the command line laid over it, later ones last."""
    stages = {stage.name: stage for stage in pipeline.stages}
    for setting in settings:
        for name, parameter in _targets(setting, stages, known):
            stage = stages[name]
            declared = {p.name: p for p in known[name]}[parameter]
            if (parameter in stage.inputs or declared.role == "input") and setting.value is not None:
                stages[name] = replace(stage, inputs={**stage.inputs, parameter: str(setting.value)})
                continue
            read = convert_text if setting.text else convert
            value = read(setting.value, declared, file=setting.origin, line=None, stage=name)
            stages[name] = replace(stage, params={**stage.params, parameter: value})
    return replace(pipeline, stages=tuple(stages[stage.name] for stage in pipeline.stages))


def _targets(
    setting: Setting, stages: Mapping[str, Stage], known: Mapping[str, tuple[Parameter, ...]]
) -> list[tuple[str, str]]:
    """The (stage, parameter) pairs that a setting speaks of.

    What one stage makes and another reads often has one name: only the reader can be told another path.
    """
    pair = reference(setting.name, stages)
    names = {name: {p.name for p in known[name]} for name in stages}
    if pair:
        found = [pair] if pair[1] in names[pair[0]] else []
        hints = [f"{pair[0]}.{name}" for name in names[pair[0]]]
    else:
        found = [(stage, setting.name) for stage in stages if setting.name in names[stage]]
        hints = sorted(set().union(*names.values()))
    if not found:
        raise ParameterError(
            f"{setting.origin}: no notebook has a parameter '{setting.name}'.{nearest(setting.name, hints)}"
            + ("" if hints else " No notebook has a cell tagged `parameters`.")
        )
    outputs = {
        (name, p.name) for name in stages for p in known[name] if p.role == "output" or p.name in stages[name].outputs
    }
    settable = [pair for pair in found if pair not in outputs]
    if not settable:
        stage, parameter = found[0]
        raise ParameterError(
            f"{setting.origin}: '{parameter}' is an output of stage '{stage}', and outputs cannot be set.", stage=stage
        )
    return settable


def _check_references(stage: Stage, pipeline: Pipeline, notebooks: Mapping[str, Source], project: Project) -> None:
    """Every input must be made by a stage, or exist."""
    names = [s.name for s in pipeline.stages]
    for param, text in stage.inputs.items():
        ref = reference(text, names)
        if ref:
            user = f"input '{param}' of stage '{stage.name}'"
            file = f" If the file is meant, write ./{text}" if (project.root / text).is_file() else ""
            _check_made(pipeline, notebooks, *ref, line=stage.line, user=user, file=file)
        elif "://" not in text and not (project.root / text).exists():
            raise missing_input(param, text, stage=stage, pipeline=pipeline, project=project)


def missing_input(param: str, text: str, *, stage: Stage, pipeline: Pipeline, project: Project) -> PipelineError:
    """The error for an input that is neither made by a stage nor there, with what may have been meant."""
    made = [f"{s.name}.{output}" for s in pipeline.stages for output in s.outputs]
    folder = (project.root / text).parent
    beside = [project.relative(path) for path in folder.iterdir()] if folder.is_dir() else []
    close = nearest(text, [*made, *beside])
    hint = close if close.startswith(" Did you mean") else ""
    return PipelineError(
        f"input '{param}' of stage '{stage.name}' is '{text}', which is no file in the project and no output of a "
        f"stage.{hint}",
        file=pipeline.path or stage.notebook,
        line=stage.line or None,
        stage=stage.name,
    )


def _check_made(
    pipeline: Pipeline, notebooks: Mapping[str, Source], stage: str, name: str, *, line: int, user: str, file: str = ""
) -> None:
    """A referenced name must be a declared output, or something that the notebook can be seen to log.

    Args:
        user: what refers to it.
        file: what to do if a file of that name was meant.
    """
    outputs = pipeline.stage(stage).outputs
    logged = logged_names(notebooks[stage])
    if name in outputs or logged is None or name in logged:
        return
    hint = (
        file
        or nearest(name, [*outputs, *logged])
        or " It has no outputs and logs nothing: call nbprod.log_model in it."
    )
    raise PipelineError(
        f"{user} refers to '{stage}.{name}', which stage '{stage}' does not make.{hint}",
        file=pipeline.path or None,
        line=line or None,
        stage=stage,
    )


def warnings(pipeline: Pipeline, bound: Iterable[BoundStage], project: Project) -> list[str]:
    """What is legal but likely not meant, a sentence each."""
    found: list[str] = []
    for item in bound:
        stage = item.stage
        if not stage.inputs and not stage.refresh:
            found.append(
                f"stage '{item.name}' has no inputs, so it runs once and never again until its code changes: "
                "name its data under `inputs:`, or set `refresh:` if it fetches something."
            )
        for parameter in item.parameters:
            declared = stage.inputs if parameter.role == "input" else stage.outputs
            if parameter.role and parameter.name not in declared:
                found.append(
                    f"stage '{item.name}': the notebook calls '{parameter.name}' an {parameter.role}, but the "
                    "pipeline does not "
                    f"set it under `{parameter.role}s:`, so it is not tracked."
                )
        found.extend(_missing_cards(item, project))
    return found


def _missing_cards(item: BoundStage, project: Project) -> list[str]:
    """Inputs without a dataset card: allowed, but nobody will know what they are."""
    return [
        f"stage '{item.name}': {text} has no card: write {text}.card.yaml with its origin, licence and terms of use."
        for text in item.files.values()
        if "://" not in text and not Path(f"{project.root / text}.card.yaml").exists()
    ]


def problems(pipeline: Pipeline, project: Project, *, cache: Cache) -> list[NbprodError]:
    """Everything that is wrong, a stage at a time, rather than the first thing only."""
    found: list[NbprodError] = []
    for stage in pipeline.stages:
        try:
            source = read_source(project.root / stage.notebook, label=stage.notebook)
            bind_stage(stage, pipeline, source, read_parameters(source), project=project, cache=cache)
        except NbprodError as error:
            found.append(error)
    if not found:
        try:
            bind(pipeline, project, cache=cache)
        except NbprodError as error:
            found.append(error)
    return found
