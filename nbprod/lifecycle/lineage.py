"""``nbprod lineage``: what made a version, or what came of some data; from the index, without MLflow where it can."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nbprod.digest import sha256_path
from nbprod.entities import Fact, ModelVersion
from nbprod.errors import RegistryError, UsageError, nearest
from nbprod.evidence.lineage import Graph, Use, data_id, origin, outcome, sources, uses, version_id
from nbprod.evidence.tracing import build
from nbprod.lifecycle.versions import outlines
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.registry import choose, parse_ref

PREFIX = re.compile(r"[0-9a-f]{6,64}\Z")
"""A sha256, or its beginning."""


@dataclass(frozen=True, kw_only=True)
class Lineage(Fact):
    """What is known of a version or of some data.

    Attributes:
        subject: what was asked, as a person would name it.
        kind: ``version`` or ``data``.
        roots: ids of the nodes that were asked for; none if nothing is known.
        graph: what they came of, and what came of them.
        uses: of data, the versions that used them.
        notes: sentences about what is not as one would think.
    """

    subject: str
    kind: Literal["version", "data"]
    roots: tuple[str, ...]
    graph: Graph
    uses: tuple[Use, ...] = ()
    notes: tuple[str, ...] = ()


def lineage(text: str) -> Lineage:
    """The lineage of a version, of a data file or folder, or of a sha256 of either.

    Raises:
        UsageError: it is none of these.
    """
    with open_existing() as work:
        versions = outlines(work)
        graph = build([version for version in versions if version.entry], work.index.stage_runs())
        name = re.split("[/@]", text.strip().removeprefix("models:/"))[0]
        if name in {version.name for version in versions} and not Path(text).is_file():
            return of_version(graph, choose(parse_ref(text), versions))
        if Path(text).exists():
            return _of_file(graph, work, text)
        if known := _recorded_at(graph, {text, *_places(work, text)}):
            note = f"{text} is not there any more: this is what was recorded of it."
            return of_data(graph, text, known, (note,))
        return _of_digest(graph, versions, text)


def _of_digest(graph: Graph, versions: Iterable[ModelVersion], text: str) -> Lineage:
    """What a sha256 means: data, a model, or an entry."""
    if PREFIX.match(text):
        found = {node.id: node for node in graph.nodes if node.facts.get("sha256", "").startswith(text)}
        entries = [version for version in versions if version.digest.startswith(text)]
        if len(found) + len(entries) > 1:
            known = sorted([node.facts["sha256"] for node in found.values()] + [entry.digest for entry in entries])
            raise UsageError(f"several sha256 begin with '{text}': {', '.join(known[:4])}; write more of it.")
        if entries:
            return of_version(graph, entries[0])
        if found:
            (node,) = found.values()
            return of_data(graph, node.label, (node.id,))
        if len(text) == 64:
            return of_data(graph, f"sha256 {text[:12]}", ())
    names = {version.name for version in versions}
    places = {uri for node in graph.nodes for uri in node.facts.get("uris", ())}
    hint = nearest(text, names | {name for name in places if not name.startswith("runs/")})
    raise UsageError(f"there is no model, data file or sha256 '{text}'.{hint}")


def of_version(graph: Graph, version: ModelVersion) -> Lineage:
    """What a version came of, with its parents, children and aliases.

    Raises:
        RegistryError: nbprod did not register it.
    """
    root = version_id(version)
    if root not in graph.by_id:
        raise RegistryError(f"{version.ref} was not registered by nbprod, so nothing is known of what made it.")
    parents = {edge.source for edge in graph.above.get(root, ()) if graph.by_id[edge.source].kind == "version"}
    below = {edge.target for edge in graph.below.get(root, ())}
    return Lineage(
        subject=version.ref,
        kind="version",
        roots=(root,),
        graph=graph.only(origin(graph, root) | parents | below),
    )


def of_data(graph: Graph, subject: str, roots: Iterable[str], notes: Iterable[str] = ()) -> Lineage:
    """What came of some data, and what they came of."""
    asked = tuple(roots)
    used = uses(graph, asked)
    using = {node.id for node in graph.nodes if node.label in {use.version for use in used}}
    shown = outcome(graph, asked, using)
    for root in asked:
        shown |= sources(graph, root)
    if not asked:
        notes = (*notes, "no run and no version that is known here read or wrote these bytes.")
    return Lineage(subject=subject, kind="data", roots=asked, graph=graph.only(shown), uses=used, notes=tuple(notes))


def _of_file(graph: Graph, work: Workspace, text: str) -> Lineage:
    """The lineage of a file's bytes; where they are unknown, of the bytes that its place had."""
    found = data_id(sha256_path(Path(text), work.index))
    recorded = _recorded_at(graph, _places(work, text))
    earlier = tuple(id for id in recorded if id != found)
    if found in graph.by_id:
        notes = [f"{text} was recorded with another sha256, too: {_came_of(graph, earlier)}."] if earlier else []
        return of_data(graph, text, (found,), notes)
    if earlier:
        changed = (
            f"{text} was changed: its sha256 is {found[5:17]} now, which no run or version has read or written. "
            f"This is what was recorded: {_came_of(graph, earlier)}."
        )
        return of_data(graph, text, earlier, (changed,))
    return of_data(graph, text, ())


def _came_of(graph: Graph, earlier: tuple[str, ...]) -> str:
    """What came of the bytes that a file had before."""
    shas = ", ".join(graph.by_id[id].facts["sha256"][:12] for id in earlier)
    refs = [use.version for use in uses(graph, earlier)]
    if not refs:
        return f"{shas}, of which came no version"
    return f"{shas}, of which came {', '.join(refs[:10])}" + (f" and {len(refs) - 10} more" if len(refs) > 10 else "")


def _places(work: Workspace, text: str) -> set[str]:
    """A path as a run may have recorded it."""
    path = Path(text).absolute()
    return {work.project.relative(Path(place)) for place in (path, path.resolve())}


def _recorded_at(graph: Graph, places: set[str]) -> tuple[str, ...]:
    """The bytes that were recorded at a place."""
    return tuple(node.id for node in graph.nodes if places & set(node.facts.get("uris", ())))
