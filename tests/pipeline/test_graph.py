"""The DAG of stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbprod.entities import Pipeline, Stage
from nbprod.errors import PipelineError
from nbprod.pipeline.graph import ancestors, needs, order, reference, references


def pipeline(**stages: dict[str, str]) -> Pipeline:
    """A pipeline of stages with these inputs, in this order; each stands on a line of its own."""
    made = [Stage(name=n, notebook=f"{n}.ipynb", inputs=i, line=line) for line, (n, i) in enumerate(stages.items(), 3)]
    return Pipeline(name="p", stages=tuple(made), path="p.yaml")


DIAMOND = pipeline(
    join={"left": "left.x", "right": "right.x"},
    left={"raw": "first.x"},
    alone={"raw": "data.csv"},
    right={"raw": "first.x"},
    first={"raw": "notebooks/data.parquet"},
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("prepare.train", ("prepare", "train")),
        ("prepare.train.parquet", ("prepare", "train.parquet")),
        ("prepare", None),
        ("prepare.", None),
        (".prepare", None),
        ("other.train", None),
        ("prepare/train.parquet", None),
        ("https://prepare.train/x", None),
    ],
)
def test_an_input_is_a_reference_exactly_when_its_first_part_names_a_stage(
    text: str, found: tuple[str, str] | None
) -> None:
    assert reference(text, ["prepare"]) == found


def test_the_references_of_a_stage_are_its_inputs_that_others_make() -> None:
    assert references(DIAMOND.stage("join"), DIAMOND) == {"left": ("left", "x"), "right": ("right", "x")}
    assert references(DIAMOND.stage("alone"), DIAMOND) == {}


def test_a_stage_needs_those_whose_outputs_it_reads() -> None:
    assert needs(DIAMOND) == {
        "join": {"left", "right"}, "left": {"first"}, "alone": set(), "right": {"first"}, "first": set(),
    }  # fmt: skip


def test_each_stage_comes_after_what_it_needs_and_else_in_the_order_of_the_file() -> None:
    assert [stage.name for stage in order(DIAMOND)] == ["alone", "first", "left", "right", "join"]


def test_a_stage_that_needs_itself_is_refused() -> None:
    with pytest.raises(PipelineError) as caught:
        order(pipeline(ok={}, a={"x": "a.y"}))
    assert str(caught.value) == (
        "p.yaml:4: input 'x' of stage 'a' is 'a.y', which would be an output of that stage itself: if the file a.y is "
        "meant, write ./a.y"
    )


def test_a_circle_is_refused_and_drawn() -> None:
    with pytest.raises(PipelineError) as caught:
        order(pipeline(ok={}, a={"x": "c.y"}, b={"x": "a.y"}, c={"x": "b.y"}))
    said = str(caught.value)
    circles = {"a -> c -> b -> a", "c -> b -> a -> c", "b -> a -> c -> b"}
    lines = {"a": 4, "b": 5, "c": 6}
    assert said in {f"p.yaml:{lines[c[0]]}: stages need each other in a circle: {c}." for c in circles}


def test_the_ancestors_of_stages_are_they_and_everything_that_they_need() -> None:
    assert ancestors(DIAMOND, ["left"]) == {"left", "first"}
    assert ancestors(DIAMOND, ["join", "alone"]) == {"join", "left", "right", "first", "alone"}
    assert ancestors(DIAMOND, []) == set()


@given(st.permutations(list("abcdef")), st.data())
def test_whatever_the_order_of_the_file_no_stage_comes_before_what_it_needs(
    names: list[str], data: st.DataObject
) -> None:
    later = {
        name: data.draw(st.lists(st.sampled_from("abcdef"[i + 1 :] or "a"), max_size=3))
        for i, name in enumerate("abcdef")
    }
    later["f"] = []
    made = pipeline(**{n: {f"x{k}": f"{other}.y" for k, other in enumerate(later[n])} for n in names})
    placed = [stage.name for stage in order(made)]
    assert sorted(placed) == sorted(names)
    assert all(placed.index(other) < placed.index(n) for n in names for other in later[n])
