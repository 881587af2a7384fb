"""A stage's ``repeats``: the same stages with other seeds, for the spread of metrics only.

The second repeat of the stage ``train`` is called ``train~2`` and has the seed + 1; what reads from it is repeated
with it, as ``evaluate~2``. No model of a repeat is registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from nbprod.entities import Pipeline
from nbprod.errors import PipelineError
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.graph import ancestors

MARK = "~"
"""Between a stage's name and the number of its repeat; no stage's own name holds it."""

SEED = "seed"
"""The parameter that differs from repeat to repeat."""


def base_name(name: str) -> str:
    """The stage that a stage repeats; its own name if it repeats none."""
    return name.partition(MARK)[0]


def repeat_name(name: str, number: int) -> str:
    """The name of a repeat; number 1 is the stage itself."""
    return name if number == 1 else f"{name}{MARK}{number}"


def repeated(pipeline: Pipeline, bound: Sequence[BoundStage]) -> tuple[BoundStage, ...]:
    """The repeats of some stages, in an order in which they can run: each with all that leads on to the metrics.

    Raises:
        PipelineError: a stage with ``repeats`` has no whole number as ``seed``.
    """
    most = max((item.stage.repeats for item in bound), default=1)
    if most == 1:
        return ()
    metrics = pipeline.model.metrics if pipeline.model else ()
    wanted = ancestors(pipeline, metrics) if metrics else {item.name for item in bound}
    found: list[BoundStage] = []
    for number in range(2, most + 1):
        changed: set[str] = set()
        for item in bound:
            seeded = item.stage.repeats >= number
            if item.name in wanted and (seeded or changed.intersection(stage for stage, _ in item.sources.values())):
                changed.add(item.name)
                found.append(_repeat(item, number, changed, pipeline=pipeline))
    return tuple(found)


def _repeat(item: BoundStage, number: int, changed: Iterable[str], *, pipeline: Pipeline) -> BoundStage:
    params = dict(item.params)
    if item.stage.repeats >= number:
        params[SEED] = _seed(item, pipeline) + number - 1
    return replace(
        item,
        stage=replace(item.stage, name=repeat_name(item.name, number)),
        params=params,
        sources={
            name: (repeat_name(stage, number) if stage in changed else stage, output)
            for name, (stage, output) in item.sources.items()
        },
        repeat=number,
    )


def _seed(item: BoundStage, pipeline: Pipeline) -> int:
    seed = item.seed
    if isinstance(seed, int) and not isinstance(seed, bool):
        return seed
    raise PipelineError(
        f"stage '{item.name}' has repeats, so its notebook needs a parameter `seed` that is a whole number: write "
        "`seed: int = 0` in the cell tagged `parameters`, and use it wherever something is random.",
        file=pipeline.path or None,
        line=item.stage.line or None,
        stage=item.name,
    )
