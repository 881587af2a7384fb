"""Where a version comes from, as a graph: data -> stages -> version -> aliases, joined by the digests of its entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbprod.entities import ModelVersion
from nbprod.evidence.modelcard.blocks import Edge, Graph, Node

VERSION = "version"
MANY = 12
"""So many datasets from outside are drawn one by one; of more the rest is one node."""


def ancestry(version: ModelVersion) -> Graph:
    """The graph; a stage's input comes from an earlier stage where that made the same bytes, else from outside."""
    entry = version.entry
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], list[str]] = {}
    made: dict[str, tuple[str, str]] = {}
    known = {item["sha256"]: item for item in entry["inputs"]}
    for stage in entry["run"]["stages"]:
        here = f"stage {stage['name']}"
        for name, sha256 in stage["inputs"].items():
            if sha256 in made:
                source, label = made[sha256]
            else:
                source, label = _outside(nodes, sha256, known.get(sha256), name), ""
            edges.setdefault((source, here), []).append(label)
        nodes[here] = Node(id=here, kind="stage", lines=(str(stage["name"]), str(stage["notebook"])))
        for name, sha256 in stage["outputs"].items():
            made.setdefault(sha256, (here, str(name)))
    _end(version, nodes, edges)
    arrows = tuple(
        Edge(start=start, end=end, label=", ".join(dict.fromkeys(label for label in labels if label)))
        for (start, end), labels in edges.items()
    )
    return Graph(title=f"Lineage of {version.ref}", nodes=tuple(nodes.values()), edges=arrows)


def _outside(nodes: dict[str, Node], sha256: str, item: Mapping[str, Any] | None, name: str) -> str:
    """The node of data that no stage made."""
    id = f"data {sha256}"
    if id not in nodes and sum(node.kind == "data" for node in nodes.values()) >= MANY:
        id = "data more"
        nodes.setdefault(id, Node(id=id, kind="data", lines=("more data", "see the table of data")))
    if id not in nodes:
        nodes[id] = Node(id=id, kind="data", lines=(_title(item, name), f"sha256 {sha256[:12]}"))
    return id


def _title(item: Mapping[str, Any] | None, name: str) -> str:
    if item is None:
        return str(name)
    card = item["card"]
    named = card.get("name") if isinstance(card, Mapping) else ""
    return str(named or str(item["uri"]).rstrip("/").rsplit("/", 1)[-1] or item["name"])


def _end(version: ModelVersion, nodes: dict[str, Node], edges: dict[tuple[str, str], list[str]]) -> None:
    """The version itself, what it was made from, and what points at it."""
    entry = version.entry
    if parent := entry.get("parent"):
        id = f"parent {parent['digest']}"
        nodes[id] = Node(id=id, kind="version", lines=("parent version", f"entry {str(parent['digest'])[:12]}"))
        edges[id, VERSION] = [str(parent["relation"])]
    for stage, label in _makers(entry):
        if f"stage {stage}" in nodes:
            edges.setdefault((f"stage {stage}", VERSION), []).append(label)
    nodes[VERSION] = Node(id=VERSION, kind="version", lines=(version.ref, f"entry {version.digest[:12]}"))
    for alias in version.aliases:
        id = f"alias {alias}"
        nodes[id] = Node(id=id, kind="alias", lines=(alias,))
        edges[VERSION, id] = [""]


def _makers(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The stages that the version is made of: the one that made the model, and those that measured it."""
    yield str(entry["model"]["stage"]), "model"
    for stage in dict.fromkeys(str(metric["stage"]) for metric in entry["metrics"]):
        yield stage, "metrics"
