"""Lineage: what was made from what, as a graph of data, models, stage runs, versions and aliases.

Edges run the way that information does: data -> stage -> model -> version -> alias. Bytes are one node however many
paths and runs had them, so what lies above a version is looked for among its own stages first: other runs may have made
the same bytes from other data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from nbprod.entities import INCREMENTAL, JSON, Fact, ModelVersion

READ, MADE, REGISTERED, MEASURED, BESIDE, USED, ALIAS = (
    "read", "made", "registered", "measured", "beside", "used", "alias"
)  # fmt: skip
"""How two nodes are related; between a version and its parent it is the entry's word, such as ``retrain``."""

FLOWS = frozenset({READ, MADE, REGISTERED, MEASURED, BESIDE})
"""Relations along which bytes flow; the others are said of them."""

WORDS = {REGISTERED: "learned from", MEASURED: "measured on", BESIDE: "read beside"}
"""How data were used that the pipeline gives no role, by how they reached the version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Fact):
    """One thing.

    Attributes:
        id: the kind and a name that is unique in it, such as ``data:<sha256>``.
        kind: ``data``, ``model``, ``stage``, ``version`` or ``alias``; more may come, such as what was deployed.
        label: what a person calls it.
        facts: whatever else is known, in JSON types.
    """

    id: str
    kind: str
    label: str
    facts: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Fact):
    """That `target` came of `source`.

    Attributes:
        name: the parameter of a stage that held the bytes, or the role that data had for a version.
    """

    source: str
    target: str
    relation: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Graph(Fact):
    """Nodes and edges, each once, in the order in which they became known."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def above(self) -> Mapping[str, Sequence[Edge]]:
        """Node -> the edges that end there."""
        return _grouped((edge.target, edge) for edge in self.edges)

    @cached_property
    def below(self) -> Mapping[str, Sequence[Edge]]:
        """Node -> the edges that begin there."""
        return _grouped((edge.source, edge) for edge in self.edges)

    def only(self, ids: Iterable[str]) -> Graph:
        """The part between some nodes."""
        kept = set(ids)
        return Graph(
            nodes=tuple(node for node in self.nodes if node.id in kept),
            edges=tuple(edge for edge in self.edges if edge.source in kept and edge.target in kept),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(Fact):
    """That a version learned from some data, or was measured on them.

    Attributes:
        uses: the roles that the data had, such as ``train``; where the pipeline names none, ``learned from``,
            ``measured on`` or ``read beside``.
        through: what was derived from the data and then used, as ``stage.name``; empty if they were used themselves.
        parent: the version from which it inherits the use; empty if it used them itself.
    """

    version: str
    uses: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    parent: str = ""


def _grouped(pairs: Iterable[tuple[str, Edge]]) -> dict[str, list[Edge]]:
    found: dict[str, list[Edge]] = {}
    for key, edge in pairs:
        found.setdefault(key, []).append(edge)
    return found


def data_id(sha256: str) -> str:
    """The id of some bytes."""
    return f"data:{sha256}"


def version_id(version: ModelVersion) -> str:
    """The id of a version."""
    return f"version:{version.ref}"


def stage_id(run: str, name: str) -> str:
    """The id of a stage's execution."""
    return f"stage:{run}/{name}"


def origin(graph: Graph, version: str, *, of: str = "", through_models: Literal["yes", "no"] = "yes") -> set[str]:
    """Everything that a version came of, itself included; of its parents nothing.

    Args:
        of: one of these nodes, if only what that came of is wanted.
        through_models: ``no`` leaves out what only taught a model that was read on the way.
    """
    own = set(graph.by_id[version].facts.get("stages", ()))
    found: set[str] = set()
    waiting = [of or version]
    while waiting:
        here = waiting.pop()
        if here in found or (through_models == "no" and graph.by_id[here].kind == "model"):
            continue
        found.add(here)
        edges = [edge for edge in graph.above.get(here, ()) if edge.relation in FLOWS]
        mine = [edge for edge in edges if edge.relation == MADE and edge.source in own]
        waiting.extend(edge.source for edge in mine or edges)
    return found


def sources(graph: Graph, id: str) -> set[str]:
    """Everything that some bytes may have come of, whichever run made them; themselves included."""
    found: set[str] = set()
    waiting = [id]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting.extend(edge.source for edge in graph.above.get(here, ()) if edge.relation in FLOWS)
    return found


def outcome(graph: Graph, starts: Iterable[str], using: Iterable[str]) -> set[str]:
    """Everything that came of some nodes, themselves included.

    Args:
        using: the versions that did use them. Others read equal bytes that were made from something else.
    """
    allowed = set(using)
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found.add(here)
        for edge in graph.below.get(here, ()):
            reached = edge.target in allowed or graph.by_id[edge.target].kind != "version"
            if edge.relation != USED and (reached or edge.relation not in FLOWS):
                waiting.append(edge.target)
    return found


def uses(graph: Graph, data: Iterable[str]) -> tuple[Use, ...]:
    """The versions that learned from some data or were measured on them, themselves, derived or inherited."""
    wanted = set(data)
    versions = [node for node in graph.nodes if node.kind == "version"]
    found = {node.id: use for node in versions if (use := _use(graph, node, wanted))}
    waiting = list(found)
    while waiting:
        here = waiting.pop(0)
        for edge in graph.below.get(here, ()):
            if edge.relation == INCREMENTAL and edge.target not in found:
                child, parent = graph.by_id[edge.target], found[here]
                found[child.id] = Use(
                    version=child.label, uses=parent.uses, aliases=_aliases(child), through=parent.through,
                    parent=parent.version,
                )  # fmt: skip
                waiting.append(child.id)
    return tuple(found[node.id] for node in versions if node.id in found)


def _use(graph: Graph, version: Node, wanted: set[str]) -> Use | None:
    """What a version did with some data by its own stages; None if nothing."""
    edges = graph.above.get(version.id, ())
    roles = [e for e in edges if e.relation == USED and wanted & origin(graph, version.id, of=e.source)]
    words, through = [edge.name for edge in roles], [edge.source for edge in roles if edge.source not in wanted]
    own = set(version.facts.get("stages", ()))
    for edge in edges:
        if edge.relation not in WORDS:
            continue
        learned: Literal["yes", "no"] = "yes" if edge.relation == REGISTERED else "no"
        upstream = origin(graph, version.id, of=edge.source, through_models=learned)
        if wanted & upstream and not upstream & {role.source for role in roles}:
            words.append(WORDS[edge.relation])
            makers = {e.source for e in graph.above.get(edge.source, ()) if e.relation == MADE and e.source in own}
            read = {e.source for stage in makers or {edge.source} for e in graph.above.get(stage, ())} & upstream
            if not read & wanted:
                through.extend(sorted(id for id in read if wanted & origin(graph, version.id, of=id)))
    if not words:
        return None
    names = [_made_as(graph, id, own) for id in through]
    return Use(
        version=version.label,
        uses=tuple(dict.fromkeys(words)),
        aliases=_aliases(version),
        through=tuple(dict.fromkeys(name for name in names if name)),
    )


def _made_as(graph: Graph, id: str, own: set[str]) -> str:
    """Some bytes as the stage and name under which a version's own stage made them."""
    for edge in graph.above.get(id, ()):
        if edge.relation == MADE and edge.source in own:
            return f"{graph.by_id[edge.source].label}.{edge.name}"
    return ""


def _aliases(version: Node) -> tuple[str, ...]:
    return tuple(version.facts.get("aliases", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One line of a graph that is told as a tree.

    Attributes:
        edge: how it hangs on the branch above; None for the root.
        again: whether it was told before, with all that hangs on it.
    """

    depth: int
    node: Node
    edge: Edge | None = None
    again: bool = False


def tree(graph: Graph, root: str, way: Literal["above", "below"]) -> Iterator[Branch]:
    """A graph as a tree that begins at a node; every node is told once with what hangs on it.

    Args:
        way: ``above`` for what it came of, ``below`` for what came of it.
    """
    told: set[str] = set()
    waiting: list[tuple[int, str, Edge | None]] = [(0, root, None)]
    while waiting:
        depth, here, edge = waiting.pop()
        edges = [e for e in (graph.above if way == "above" else graph.below).get(here, ()) if e.relation != USED]
        yield Branch(depth=depth, node=graph.by_id[here], edge=edge, again=here in told and bool(edges))
        if here not in told:
            told.add(here)
            edges.sort(key=lambda edge: edge.relation != REGISTERED)  # the model's own way before what measured it
            ends = [(edge, edge.source if way == "above" else edge.target) for edge in edges]
            waiting.extend((depth + 1, end, edge) for edge, end in reversed(ends))


SHAPES = {"data": ("[(", ")]"), "model": ("[/", "/]"), "stage": ("[", "]"), "version": ("([", "])")}
"""Kind -> how mermaid draws it; others are flags."""


def mermaid(graph: Graph) -> str:
    """A graph in mermaid's language, which GitHub, GitLab and JupyterLab draw."""
    names = {node.id: f"n{number}" for number, node in enumerate(graph.nodes, 1)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        left, right = SHAPES.get(node.kind, (">", "]"))
        sha256 = node.facts.get("sha256", "")[:12] if node.kind in ("data", "model") else ""
        more = f"<br/>{sha256}" if sha256 and sha256 != node.label else ""
        lines.append(f'  {names[node.id]}{left}"{_quoted(node.label)}{more}"{right}')
    for edge in graph.edges:
        word = _quoted(edge.name or edge.relation)
        arrow = f'-. "{word}" .->' if edge.relation == USED else f'-- "{word}" -->'
        lines.append(f"  {names[edge.source]} {arrow} {names[edge.target]}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Text within mermaid's quotes, where only these characters mean something."""
    for character, entity in (("#", "#35;"), ("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return " ".join(text.split())
