"""A stage that is repeated runs with other seeds, and with it what leads on to the metrics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nbprod.entities import ModelSpec, Parameter, Pipeline, Stage
from nbprod.errors import PipelineError
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.repeats import base_name, repeat_name, repeated

PIPELINE = Pipeline(
    name="p",
    path="pipelines/p.yaml",
    stages=(
        Stage(name="prepare", notebook="p.ipynb"),
        Stage(name="train", notebook="t.ipynb", inputs={"train": "prepare.train"}, repeats=3),
        Stage(name="evaluate", notebook="e.ipynb", inputs={"model": "train.model", "test": "prepare.test"}),
        Stage(name="explain", notebook="x.ipynb", inputs={"model": "train.model"}, repeats=2),
    ),
    model=ModelSpec(name="m", source="train.model", metrics=("evaluate",)),
)
NOTHING: Any = SimpleNamespace()


def bound(pipeline: Pipeline = PIPELINE, seed: Any = 7) -> list[BoundStage]:
    names = {stage.name for stage in pipeline.stages}
    return [
        BoundStage(
            stage=stage,
            source=NOTHING,
            kernel=NOTHING,
            parameters=(Parameter(name="seed", default=seed),),
            sources={
                name: (text.split(".")[0], text.split(".")[1])
                for name, text in stage.inputs.items()
                if text.split(".")[0] in names
            },
        )
        for stage in pipeline.stages
    ]


def test_each_repeat_has_the_next_seed_and_what_reads_it_follows() -> None:
    found = repeated(PIPELINE, bound())
    assert [(item.name, item.params, item.sources) for item in found] == [
        ("train~2", {"seed": 8}, {"train": ("prepare", "train")}),
        ("evaluate~2", {}, {"model": ("train~2", "model"), "test": ("prepare", "test")}),
        ("train~3", {"seed": 9}, {"train": ("prepare", "train")}),
        ("evaluate~3", {}, {"model": ("train~3", "model"), "test": ("prepare", "test")}),
    ]
    assert [item.repeat for item in found] == [2, 2, 3, 3]


def test_without_named_metrics_everything_that_follows_is_repeated() -> None:
    every = Pipeline(name="p", stages=PIPELINE.stages)
    assert [item.name for item in repeated(every, bound(every))] == [
        "train~2", "evaluate~2", "explain~2", "train~3", "evaluate~3", "explain~3",
    ]  # fmt: skip


def test_nothing_is_repeated_where_nothing_says_so() -> None:
    single = Pipeline(name="p", stages=(Stage(name="train", notebook="t.ipynb"),))
    assert repeated(single, bound(single, seed=None)) == ()


@pytest.mark.parametrize("seed", [None, True, "7", 0.5])
def test_a_repeat_needs_a_whole_number_as_seed(seed: Any) -> None:
    with pytest.raises(PipelineError, match="stage 'train' has repeats, so its notebook needs a parameter `seed`"):
        repeated(PIPELINE, bound(seed=seed))


def test_a_repeat_is_named_after_its_stage() -> None:
    assert (repeat_name("train", 1), repeat_name("train", 2)) == ("train", "train~2")
    assert (base_name("train"), base_name("train~2")) == ("train", "train")
