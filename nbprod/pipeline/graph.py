"""The DAG of a pipeline: which stage needs which, in which order they run."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable

from nbprod.entities import Pipeline, Stage
from nbprod.errors import PipelineError


def reference(text: str, stages: Iterable[str]) -> tuple[str, str] | None:
    """``(stage, name)`` when the first dotted part of ``text`` names a stage, else None: a path or a URL."""
    stage, dot, name = text.partition(".")
    return (stage, name) if dot and name and stage in stages else None


def references(stage: Stage, pipeline: Pipeline) -> dict[str, tuple[str, str]]:
    """The inputs of a stage that other stages make: parameter -> (stage, name)."""
    names = [s.name for s in pipeline.stages]
    found = {param: reference(text, names) for param, text in stage.inputs.items()}
    return {param: ref for param, ref in found.items() if ref}


def needs(pipeline: Pipeline) -> dict[str, set[str]]:
    """Stage -> the stages whose outputs it reads."""
    return {stage.name: {name for name, _ in references(stage, pipeline).values()} for stage in pipeline.stages}


def order(pipeline: Pipeline) -> tuple[Stage, ...]:
    """The stages so that each comes after what it needs; else in the order of the file.

    Raises:
        PipelineError: stages need each other in a circle.
    """
    _refuse_own_outputs(pipeline)
    graph = needs(pipeline)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        first = pipeline.stage(error.args[1][0])
        raise PipelineError(
            f"stages need each other in a circle: {circle}.", file=pipeline.path or None, line=first.line or None
        ) from None
    done: list[Stage] = []
    left = list(pipeline.stages)
    while left:
        ready = next(stage for stage in left if graph[stage.name] <= {d.name for d in done})
        done.append(ready)
        left.remove(ready)
    return tuple(done)


def _refuse_own_outputs(pipeline: Pipeline) -> None:
    """Refuse a stage that reads what it makes; a file may have been meant whose name begins as the stage's."""
    for stage in pipeline.stages:
        for param, (name, _) in references(stage, pipeline).items():
            if name == stage.name:
                text = stage.inputs[param]
                raise PipelineError(
                    f"input '{param}' of stage '{name}' is '{text}', which would be an output of that stage itself: "
                    f"if the file {text} is meant, write ./{text}",
                    file=pipeline.path or stage.notebook,
                    line=stage.line or None,
                    stage=name,
                )


def ancestors(pipeline: Pipeline, names: Iterable[str]) -> set[str]:
    """The named stages and everything they need."""
    graph = needs(pipeline)
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(graph[name])
    return found
