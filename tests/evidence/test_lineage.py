"""Lineage both ways, over pipelines that are made up at random and over the cases that lead astray."""

from __future__ import annotations

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from nbprod.entities import Artifact, ModelVersion, StageRun
from nbprod.evidence.lineage import Graph, Node, Use, data_id, mermaid, origin, outcome, sources, tree, uses, version_id
from nbprod.evidence.tracing import build
from tests.evidence.chains import CHAIN, Stages, sha, version


def words(graph: Graph, ids: set[str]) -> set[str]:
    """Ids as the words and names that the tests use."""
    return {
        bytes.fromhex(id.removeprefix("data:")).rstrip(b"\xff").decode() if id.startswith("data:") else id for id in ids
    }


def used(graph: Graph, word: str) -> list[Use]:
    return list(uses(graph, [data_id(sha(word))]))


def test_a_version_came_of_its_stages_and_their_data() -> None:
    graph = build([version(1, CHAIN, measured=["evaluate"], roles={"rows": "train", "held": "test"})])
    assert words(graph, origin(graph, "version:m/1")) == {
        "version:m/1", "stage:run-1/prepare", "stage:run-1/train", "stage:run-1/evaluate", "raw", "rows", "held",
        "model",
    }  # fmt: skip
    assert words(graph, origin(graph, "version:m/1", of="stage:run-1/train")) == {
        "stage:run-1/train", "rows", "stage:run-1/prepare", "raw",
    }  # fmt: skip


def test_data_are_used_in_the_roles_that_the_pipeline_gives_them() -> None:
    graph = build([version(1, CHAIN, measured=["evaluate"], roles={"rows": "train", "held": "test"}, aliases=["best"])])
    both = ("prepare.train", "prepare.test")
    assert used(graph, "raw") == [Use(version="m/1", uses=("train", "test"), aliases=("best",), through=both)]
    assert used(graph, "rows") == [Use(version="m/1", uses=("train",), aliases=("best",))]
    assert used(graph, "held") == [Use(version="m/1", uses=("test",), aliases=("best",))]
    assert used(graph, "plot") == []


def test_without_roles_the_way_to_the_version_tells_what_data_were_for() -> None:
    graph = build([version(1, CHAIN, measured=["evaluate"])])
    assert used(graph, "rows") == [Use(version="m/1", uses=("learned from",))]
    assert used(graph, "held") == [Use(version="m/1", uses=("measured on",))]
    (use,) = used(graph, "raw")
    assert set(use.uses) == {"learned from", "measured on"}
    assert set(use.through) == {"prepare.train", "prepare.test"}


def test_test_data_that_the_model_learned_from_are_told_as_both() -> None:
    leaking: Stages = (("train", {"a": "rows", "b": "held"}, {"model": "model"}), CHAIN[2])
    graph = build([version(1, leaking, measured=["evaluate"], roles={"held": "test"})])
    assert used(graph, "rows") == [Use(version="m/1", uses=("learned from",))]
    assert used(graph, "held")[0].uses == ("test",)  # the role was given knowingly
    graph = build([version(1, leaking, measured=["evaluate"])])
    assert set(used(graph, "held")[0].uses) == {"learned from", "measured on"}


def test_equal_bytes_that_another_run_made_from_other_data_lead_nowhere_else() -> None:
    def one(number: int, raw: str) -> ModelVersion:
        stages: Stages = (
            ("prepare", {"raw": raw}, {"train": "same rows"}),
            ("train", {"train": "same rows"}, {"model": f"model {number}"}),
        )
        return version(number, stages, model=f"model {number}")

    graph = build([one(1, "raw one"), one(2, "raw two")])
    assert [use.version for use in used(graph, "raw one")] == ["m/1"]
    assert [use.version for use in used(graph, "same rows")] == ["m/1", "m/2"]
    assert "raw two" not in words(graph, origin(graph, "version:m/1"))
    below = outcome(graph, [data_id(sha("raw one"))], ["version:m/1"])
    assert "version:m/2" not in below
    assert "version:m/1" in below
    assert {"raw one", "raw two"} <= words(graph, sources(graph, data_id(sha("same rows"))))


def test_data_that_another_pipeline_made_lead_on_to_what_it_read() -> None:
    outside = StageRun(
        stage="collect", run="r0", notebook="collect.ipynb", status="succeeded",
        inputs={"dump": Artifact(name="dump", uri="dump.csv", sha256=sha("dump"), size=1, role="input")},
        outputs={"raw": Artifact(name="raw", uri="runs/r0/collect/raw.csv", sha256=sha("raw"), size=1)},
    )  # fmt: skip
    graph = build([version(1, CHAIN, measured=["evaluate"])], [outside])
    assert "dump" in words(graph, origin(graph, "version:m/1"))
    assert [use.version for use in used(graph, "dump")] == ["m/1"]
    assert graph.by_id[data_id(sha("raw"))].facts["uris"] == ["data/raw", "runs/r0/collect/raw.csv"]


def test_a_run_that_registered_nothing_is_there_too() -> None:
    failed = StageRun(
        stage="train", run="r0", notebook="train.ipynb", status="failed",
        inputs={"train": Artifact(name="train", uri="rows.csv", sha256=sha("rows"), size=1, role="input")},
    )  # fmt: skip
    graph = build([], [failed])
    assert used(graph, "rows") == []
    assert outcome(graph, [data_id(sha("rows"))], []) == {data_id(sha("rows")), "stage:r0/train"}
    assert graph.by_id["stage:r0/train"].facts["status"] == "failed"


def test_children_inherit_what_a_parent_that_learned_on_was_taught() -> None:
    later: Stages = (("train", {"train": "new rows"}, {"model": "model 2"}),)
    parent = {"relation": "incremental", "digest": sha("entry 1")}
    again = {"relation": "retrain", "digest": sha("entry 1")}
    graph = build([
        version(3, later, model="model 3", parent=again),
        version(2, later, model="model 2", parent=parent),
        version(1, CHAIN),
    ])  # fmt: skip
    assert [(use.version, use.parent) for use in used(graph, "rows")] == [("m/2", "m/1"), ("m/1", "")]
    assert {(e.source, e.target, e.relation) for e in graph.edges if e.relation in ("incremental", "retrain")} == {
        ("version:m/1", "version:m/2", "incremental"), ("version:m/1", "version:m/3", "retrain"),
    }  # fmt: skip


def test_a_parent_that_is_not_here_is_told_as_such() -> None:
    graph = build([version(2, CHAIN, parent={"relation": "retrain", "digest": sha("gone")})])
    (missing,) = [node for node in graph.nodes if node.facts.get("digest") == sha("gone")]
    assert missing.label == f"the entry {sha('gone')[:12]}, which is not in this registry"
    assert used(graph, "raw")[0].version == "m/2"


def test_the_terms_of_data_are_told_in_words() -> None:
    graph = build([version(1, CHAIN, card={"license": "MIT", "personal": ["age"], "sensitive": ["age", "health"]})])
    facts = graph.by_id[data_id(sha("raw"))].facts
    assert (facts["card"], facts["licence"], facts["personal"]) == ("yes", "MIT", ["age", "health"])
    assert build([version(1, CHAIN)]).by_id[data_id(sha("raw"))].facts["card"] == "none"


def test_a_card_stays_known_though_another_version_had_none() -> None:
    with_card, without = version(2, CHAIN, card={"license": "MIT"}), version(1, CHAIN)
    older = version(0, CHAIN, card={"license": "GPL-3.0-only"})
    for order in ([with_card, without, older], [without, with_card, older]):
        facts = build(order).by_id[data_id(sha("raw"))].facts
        assert (facts["card"], facts["licence"]) == ("yes", "MIT")


def test_a_stage_that_copies_its_input_does_not_lead_in_a_circle() -> None:
    copying: Stages = (("copy", {"raw": "raw"}, {"same": "raw"}), ("train", {"raw": "raw"}, {"model": "model"}))
    graph = build([version(1, copying)])
    assert "raw" in words(graph, origin(graph, "version:m/1"))
    assert [branch.node.kind for branch in tree(graph, "version:m/1", "above")].count("version") == 1
    assert list(tree(graph, data_id(sha("raw")), "below"))[-1].depth < 10


def test_a_tree_tells_every_node_once_and_says_what_was_told_above() -> None:
    graph = build([version(1, CHAIN, measured=["evaluate"])])
    told = [(b.depth, b.node.label, b.again) for b in tree(graph, "version:m/1", "above")]
    assert told == [
        (0, "m/1", False), (1, "model", False), (2, "train", False), (3, "train", False), (4, "prepare", False),
        (5, "data/raw", False), (1, "evaluate", False), (2, "model", True), (2, "test", False), (3, "prepare", True),
    ]  # fmt: skip


def test_a_graph_is_drawn_with_whatever_names_there_are() -> None:
    node = Node(id="x", kind="deployment", label='say "hi" <b> & #1')
    text = mermaid(Graph(nodes=(node,)))
    assert text == 'flowchart LR\n  n1>"say #quot;hi#quot; #lt;b#gt; #amp; #35;1"]\n'


@st.composite
def pipelines(draw: st.DrawFn) -> Stages:
    """Up to five stages, each of which reads raw files and what stages before it wrote; the last makes the model."""
    count = draw(st.integers(1, 5))
    known = [f"raw {draw(st.integers(0, 3))}" for _ in range(draw(st.integers(1, 3)))]
    stages = []
    for number in range(count):
        read = draw(st.lists(st.sampled_from(known), max_size=3, unique=True))
        last = number == count - 1
        wrote = (
            []
            if last
            else [draw(st.sampled_from(["x", "y", "z"])) + str(number) for _ in range(draw(st.integers(0, 2)))]
        )
        stages.append((
            "train" if last else f"stage{number}",
            {f"in{i}": word for i, word in enumerate(read)},
            {f"out{i}": word for i, word in enumerate(dict.fromkeys(wrote))},
        ))  # fmt: skip
        known += wrote
    return stages


def behind(stages: Stages, name: str) -> set[str]:
    """The words of all data behind a stage, the slow way."""
    found: set[str] = set()
    for word in next(inputs for stage, inputs, _ in stages if stage == name).values():
        found.add(word)
        for maker, _, outputs in stages:
            if word in outputs.values():
                found |= behind(stages, maker)
    return found


@settings(max_examples=40)
@given(st.lists(pipelines(), min_size=1, max_size=4))
def test_both_ways_agree_with_what_each_pipeline_says_by_itself(made: list[Stages]) -> None:
    versions = [
        version(
            number,
            [*stages[:-1], (stages[-1][0], stages[-1][1], {"model": f"model {number}"})],
            model=f"model {number}",
        )
        for number, stages in enumerate(made, 1)
    ]
    graph = build(versions)
    for found, stages in zip(versions, made, strict=True):
        raws = {word for word in behind(stages, "train") if word.startswith("raw")}
        learned = {
            word for word in {f"raw {n}" for n in range(4)} if any(
                use.version == found.ref and "learned from" in use.uses for use in used(graph, word)
            )
        }  # fmt: skip
        assert learned == raws
        assert raws <= words(graph, origin(graph, version_id(found)))


@settings(max_examples=30)
@given(st.lists(pipelines(), min_size=1, max_size=2))
def test_every_graph_is_whole_and_can_be_told_and_drawn(made: list[Stages]) -> None:
    graph = build([version(number, stages, model=f"model {number}") for number, stages in enumerate(made, 1)])
    assert len(graph.by_id) == len(graph.nodes)
    assert all({edge.source, edge.target} <= graph.by_id.keys() for edge in graph.edges)
    again = Graph.from_dict(graph.to_dict())
    assert again.nodes == graph.nodes
    for node in graph.nodes:
        for branches in (list(tree(graph, node.id, "above")), list(tree(graph, node.id, "below"))):
            first = {branch.node.id: branch for branch in reversed(branches)}
            assert not any(branch.again for branch in first.values())
            assert all(after.depth <= before.depth + 1 for before, after in itertools.pairwise(branches))
    lines = mermaid(graph).splitlines()
    assert len(lines) == 1 + len(graph.nodes) + len(graph.edges)
    assert all(re.match(r"  n\d+", line) and line.count('"') == 2 for line in lines[1:])
