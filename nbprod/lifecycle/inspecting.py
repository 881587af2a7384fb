"""Inspect what a stage is about to read, where the pipeline's gate ``data_valid`` says how it must be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nbprod.entities import Pipeline
from nbprod.errors import ArtifactError
from nbprod.gates.spec import read_gates
from nbprod.gates.table import TableSchema, check_table
from nbprod.pipeline.attempt import Inspect
from nbprod.pipeline.repeats import base_name

SHOWN = 3
"""So many faults of a dataset are told."""


def inspector(pipeline: Pipeline) -> Inspect:
    """What says, before a stage's notebook begins, which of its inputs are not as ``data_valid`` wants them.

    A gate's ``dataset`` is the name of an input, ``stage.input``, or a role of ``model.data``.
    """
    wanted = [
        (str(gate.options["dataset"]), TableSchema.read({k: v for k, v in gate.options.items() if k != "dataset"}))
        for gate in read_gates(pipeline.sections.get("gates"))
        if gate.name == "data_valid"
    ]

    def inspect(stage: str, paths: Mapping[str, Path]) -> Iterator[str]:
        for name, path in paths.items():
            names = _names(pipeline, base_name(stage), name)
            for dataset, schema in wanted:
                if dataset in names:
                    yield from _faults(path, schema, name)

    return inspect


def inspecting(*inspectors: Inspect) -> Inspect:
    """Several inspectors as one."""

    def inspect(stage: str, paths: Mapping[str, Path]) -> Iterator[str]:
        for each in inspectors:
            yield from each(stage, paths)

    return inspect


def _names(pipeline: Pipeline, stage: str, name: str) -> set[str]:
    """What a gate may call an input of a stage."""
    text = pipeline.stage(stage).inputs.get(name)
    roles = pipeline.model.data.items() if pipeline.model else ()
    return {name, f"{stage}.{name}", *(role for role, source in roles if source == text)}


def _faults(path: Path, schema: TableSchema, name: str) -> Iterable[str]:
    try:
        found = check_table(path, schema, label=name)
    except ArtifactError as error:
        found = (f"{name} {error.message}",)
    more = (f"and {len(found) - SHOWN} more faults.",) if len(found) > SHOWN else ()
    return (*(f"{fault[:1].upper()}{fault[1:]}" for fault in found[:SHOWN]), *more)
