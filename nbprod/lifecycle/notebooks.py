"""One notebook as a pipeline of one stage: no YAML, no parameters cell, no nbprod import needed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from nbprod.config import Project
from nbprod.entities import ModelSpec, Parameter, Pipeline, Stage, StageRun
from nbprod.errors import UsageError
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.graph import reference
from nbprod.pipeline.parameters import read_parameters
from nbprod.pipeline.source import read_source
from nbprod.pipeline.spec import check_model_name
from nbprod.store import write_text


def stage_name(notebook: Path) -> str:
    """A legal stage name made of a notebook's file name."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", notebook.stem).strip("-")
    return name if name and name[0].isalpha() else f"notebook-{name}".rstrip("-")


def pipeline_of_notebook(target: str, project: Project) -> Pipeline:
    """The one-stage pipeline that a notebook is.

    Parameters whose comment begins with ``input`` or ``output`` are its inputs and outputs; their defaults, which are
    relative to the notebook's folder, are the paths.
    """
    path = Path(target).resolve()
    label = project.relative(path)
    parameters = read_parameters(read_source(path, label=label))
    inputs = {p.name: _path(p, path, project) for p in parameters if p.role == "input" and p.default is not None}
    outputs = {
        p.name: PurePosixPath(str(p.default)).name or p.name
        for p in parameters
        if p.role == "output" and p.default is not None
    }
    name = stage_name(path)
    return Pipeline(name=name, stages=(Stage(name=name, notebook=label, inputs=inputs, outputs=outputs),))


def _path(parameter: Parameter, notebook: Path, project: Project) -> str:
    text = str(parameter.default)
    if "://" in text:
        return text
    path = project.relative((notebook.parent / text).resolve())
    # Else iris.csv beside iris.ipynb would be the output "csv" of the stage "iris".
    return f"./{path}" if reference(path, [stage_name(notebook)]) else path


def model_of(pipeline: Pipeline, stages: dict[str, StageRun], name: str | None) -> ModelSpec | None:
    """Which artifact of a run becomes a version; None if the run made no model.

    A pipeline says it; of a single notebook it is the one model that it logged.

    Raises:
        UsageError: a single notebook logged several models.
    """
    if pipeline.model is not None:
        return pipeline.model if name is None else _renamed(pipeline.model, name)
    if len(pipeline.stages) != 1:
        return None
    (stage,) = pipeline.stages
    models = [output for output in stages[stage.name].outputs.values() if output.role == "model"]
    if not models:
        return None
    if len(models) > 1:  # autologging a search logs its best estimator beside the search itself
        models = [model for model in models if model.name == "model"] or models
    if len(models) > 1:
        listed = ", ".join(model.name for model in models)
        raise UsageError(
            f"the notebook logged several models ({listed}): write a pipeline whose `model.from` names one; "
            "`--save` writes one to begin with.",
            file=stage.notebook,
        )
    return _renamed(ModelSpec(name=stage.name, source=f"{stage.name}.{models[0].name}"), name or stage.name)


def expected_model(item: BoundStage, name: str | None) -> ModelSpec | None:
    """The model that a notebook which failed would have logged, so that its saved pipeline can be edited; or None."""
    if not item.source.mentions("log_model"):
        return None
    return _renamed(ModelSpec(name=item.name, source=f"{item.name}.model"), name or item.name)


def with_own_types(model: ModelSpec, folder: Path) -> ModelSpec:
    """A model's description in which the types of modules that travel with it are trusted.

    Only for a notebook without a pipeline's file, where nobody could list them: whoever ran the notebook ran them.

    Args:
        folder: the model's.
    """
    from nbprod.flavors import TRUSTED, describe

    facts = describe(folder)
    modules = {PurePosixPath(name).stem for name in facts.code}
    own = {name for name in facts.trusted if name not in TRUSTED and name.partition(".")[0] in modules}
    return replace(model, trusted=tuple(sorted({*model.trusted, *own})))


def _renamed(model: ModelSpec, name: str) -> ModelSpec:
    check_model_name(name)
    return replace(model, name=name)


def save_pipeline(pipeline: Pipeline, params: dict[str, Any], model: ModelSpec | None, *, project: Project) -> Path:
    """Write a one-notebook pipeline as a YAML file under ``pipelines/``.

    Raises:
        UsageError: the file is there already.
    """
    import yaml

    (stage,) = pipeline.stages
    path = project.root / "pipelines" / f"{pipeline.name}.yaml"
    if path.exists():
        raise UsageError("is there already: move it away, or edit it.", file=project.relative(path))
    body: dict[str, Any] = {"notebook": stage.notebook}
    body.update({key: value for key, value in (
        ("params", params), ("inputs", stage.inputs), ("outputs", stage.outputs)) if value})  # fmt: skip
    content: dict[str, Any] = {"name": pipeline.name, "stages": {stage.name: body}}
    if model:
        content["model"] = {"name": model.name, "from": model.source}
        if model.trusted:
            content["model"]["trusted"] = list(model.trusted)
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path
