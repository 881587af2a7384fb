"""Register a notebook that the plain papermill command line ran: what can still be measured is measured.

The rest is unknown.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod import flavors
from nbprod.config import RUNS
from nbprod.digest import sha256_json
from nbprod.entities import Artifact, ModelSpec, ModelVersion, Pipeline, Run, Stage, StageRun
from nbprod.errors import NotebookError, UsageError, nearest
from nbprod.evidence.source import git_state
from nbprod.lifecycle.datasets import datasets_of
from nbprod.lifecycle.notebooks import stage_name
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.registering import Candidate, record_run, register_candidate
from nbprod.lifecycle.services import open_services
from nbprod.lifecycle.subject.blocking import check_inputs
from nbprod.lifecycle.workspace import Workspace, open_workspace
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.environment import KernelEnvironment, find_kernel
from nbprod.pipeline.extract import Extract, extract
from nbprod.pipeline.folders import new_run_id
from nbprod.pipeline.parameters import defaults, read_parameters
from nbprod.pipeline.source import Source, read_source
from nbprod.pipeline.spec import check_model_name
from nbprod.store import remove

EXAMPLE_ROWS = 5
MEASURED = "after_run"
"""When the digests of data and environment were taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registering:
    """What to register.

    Attributes:
        model: an MLflow model folder or a ``.skops`` file; None for the model that the notebook logged.
        inputs: parameters that hold paths of data, beside those whose comment begins with ``input``.
    """

    notebook: str
    name: str
    model: str | None = None
    inputs: tuple[str, ...] = ()


def register(request: Registering) -> tuple[ModelVersion, bool]:
    """Make a registry entry out of an executed notebook; returns the version and whether it is new.

    Raises:
        UsageError: the notebook did not run to its end, there is no model, or an input is not there.
        ArtifactError: the model does not work outside the project.
    """
    check_model_name(request.name)
    path = Path(request.notebook)
    with open_workspace(path if path.is_file() else None) as work:
        source = read_source(path.resolve(), label=work.project.relative(path.resolve()))
        _check_finished(source)
        run_id = new_run_id()
        try:
            return _register(work, source, request, run_id)
        except BaseException:
            remove(work.project.runs / run_id)  # copies only
            raise


def _register(work: Workspace, source: Source, request: Registering, run_id: str) -> tuple[ModelVersion, bool]:
    stage = _stage_run(work, source, request, extract(source.notebook, stage=stage_name(source.path)), run_id)
    pipeline = Pipeline(name=stage.stage, stages=(Stage(name=stage.stage, notebook=source.label),))
    item = BoundStage(
        stage=pipeline.stages[0],
        source=source,
        parameters=read_parameters(source),
        kernel=_kernel(source, work),
        params=stage.params,
        files={name: artifact.uri for name, artifact in stage.inputs.items()},
    )
    run = Run(
        id=run_id, pipeline=pipeline.name, status="succeeded", started=stage.started, ended=stage.ended,
        seconds=stage.seconds, stages=(stage,), params={stage.stage: stage.params},
    )  # fmt: skip
    spec = ModelSpec(name=request.name, source=f"{stage.stage}.model")
    bound = Bound(pipeline=pipeline, stages=(item,))
    results = {stage.stage: stage}
    check_inputs(work, bound)
    git = git_state(work.project.root)
    datasets = tuple(datasets_of(work, bound, spec, results, MEASURED))
    with open_services(work.project, pipeline=pipeline.name, expects="model") as services:
        tracking = record_run(work, services, run, git, bound=bound, datasets=datasets)
        assert stage.executed is not None
        candidate = Candidate(
            spec=spec,
            bound=bound,
            run=run,
            results=results,
            git=git,
            tracking=tracking,
            keys=sha256_json([stage.executed.sha256, stage.outputs["model"].sha256]),
            measured=MEASURED,
        )
        return register_candidate(work, services, candidate)


def _check_finished(source: Source) -> None:
    """Refuse a notebook with a failed cell, or with cells that never ran."""
    pending = []
    for number, cell in enumerate(source.notebook["cells"], 1):
        if cell["cell_type"] != "code" or not cell["source"].strip():
            continue
        expected = "raises-exception" in (cell["metadata"].get("tags") or ())
        if any(o.get("output_type") == "error" for o in cell["outputs"]) and not expected:
            raise UsageError("failed, so there is nothing to register: run it again.", file=source.label, cell=number)
        if cell.get("execution_count") is None:
            pending.append(number)
    if pending:
        raise UsageError(
            f"{len(pending)} of its cells never ran, the first is cell {pending[0]}: run it with papermill, then "
            "register it.",
            file=source.label,
        )


def _values(source: Source) -> dict[str, Any]:
    """What the parameters were: the defaults, then what papermill injected."""
    injected = source.notebook["metadata"].get("papermill", {}).get("parameters")
    return {**defaults(read_parameters(source)), **(injected if isinstance(injected, dict) else {})}


def _stage_run(work: Workspace, source: Source, request: Registering, said: Extract, run: str) -> StageRun:
    """The run of the notebook, as far as its file tells it.

    The model and the notebook are copied into a run's folder.
    """
    name = stage_name(source.path)
    values = _values(source)
    inputs = {p: _input(work, source, p, values) for p in _input_names(source, request, values)}
    folder = work.project.runs / run
    model = folder / name / "model"
    model.parent.mkdir(parents=True)
    _bring_model(work, _model_path(work, source, request, said), model, inputs, label=source.label)
    executed = folder / f"{name}.ipynb"
    shutil.copyfile(source.path, executed)
    times = source.notebook["metadata"].get("papermill", {})
    work.store.keep(executed)
    work.store.adopt(model)
    return StageRun(
        stage=name,
        notebook=source.label,
        pipeline=name,
        run=run,
        status="succeeded",
        params={key: value for key, value in values.items() if key not in inputs},
        inputs=inputs,
        outputs={"model": work.store.artifact(model, name="model", uri=work.project.relative(model), role="model")},
        metrics=said.metrics,
        executed=work.store.artifact(executed, name=executed.name, uri=work.project.relative(executed), role="output"),
        cells=len(source.cells),
        started=str(times.get("start_time") or ""),
        ended=str(times.get("end_time") or ""),
        seconds=float(times.get("duration") or 0.0),
    )


def _input_names(source: Source, request: Registering, values: Mapping[str, Any]) -> list[str]:
    roles = [parameter.name for parameter in read_parameters(source) if parameter.role == "input"]
    for name in request.inputs:
        if name not in values:
            raise UsageError(
                f"--input {name}: the notebook has no such parameter.{nearest(name, values)}", file=source.label
            )
    return list(dict.fromkeys([*roles, *request.inputs]))


def _input(work: Workspace, source: Source, name: str, values: Mapping[str, Any]) -> Artifact:
    """A dataset that the notebook read, measured now, and kept."""
    text = str(values.get(name))
    written = source.notebook["metadata"].get("papermill", {}).get("input_path")
    folders = [source.path.parent, work.project.root, Path.cwd()]
    if isinstance(written, str):
        folders[1:1] = [Path(written).resolve().parent, (work.project.root / written).parent]
    for folder in folders:
        path = (folder / text).resolve()
        if path.exists():
            artifact = work.store.artifact(path, name=name, uri=work.project.relative(path), role="input")
            if artifact.size <= work.project.settings.keep_max:
                work.store.keep(path)
            return artifact
    raise UsageError(
        f"its input '{name}' is '{text}', which is not there: run this where the data are.", file=source.label
    )


def _model_path(work: Workspace, source: Source, request: Registering, said: Extract) -> Path:
    """Where the model is: as ``--model`` says, else where the notebook logged it."""
    if request.model is not None:
        return Path(request.model)
    if len(said.models) != 1:
        found = f"logged {len(said.models)} models" if said.models else "logged no model"
        raise UsageError(f"{found}: name one with --model PATH.", file=source.label)
    return work.project.root / RUNS / "scratch" / said.models[0]


def _bring_model(work: Workspace, path: Path, target: Path, inputs: Mapping[str, Artifact], *, label: str) -> None:
    """Copy the model into the run's folder; a ``.skops`` file becomes an MLflow model folder."""
    if path.is_file() and path.suffix == ".skops":
        example = _example(path, work, inputs)
        flavors.wrap_skops(path, target, example=example)
    elif (path / "MLmodel").is_file():
        shutil.copytree(path, target)
    else:
        raise UsageError(
            f"there is no model at {work.project.relative(path.resolve())}: --model takes an MLflow model folder "
            "or a .skops file.",
            file=label,
        )


def _example(path: Path, work: Workspace, inputs: Mapping[str, Artifact]) -> Any:
    """A few rows for a bare model: from the first input that has the columns it was fitted on."""
    import pandas

    columns = getattr(flavors.load(path), "feature_names_in_", None)
    if columns is not None:
        for artifact in inputs.values():
            file = work.project.root / artifact.uri
            try:
                frame = (
                    pandas.read_parquet(file)
                    if file.suffix == ".parquet"
                    else pandas.read_csv(file, nrows=EXAMPLE_ROWS)
                )
            except (OSError, ValueError):
                continue
            if set(columns) <= set(frame.columns):
                return frame[list(columns)].head(EXAMPLE_ROWS)
    raise UsageError(
        "a .skops file needs rows to show how it is called: add --input NAME with the data that it was fitted on, "
        "or log it with nbprod.log_model.",
        file=str(path),
    )


def _kernel(source: Source, work: Workspace) -> KernelEnvironment:
    """The kernel as it is now; one that is not installed here has an unknown environment."""
    try:
        return find_kernel(source.kernel, default=work.project.settings.kernel, label=source.label, cache=work.index)
    except NotebookError:
        return KernelEnvironment(kernel=source.kernel, python="", minor="unknown", cache=work.index)
