"""Gather everything that a project knows of: its runs, the registry's versions, and what lies at the paths now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbprod.config import DATA, RUNS
from nbprod.entities import ModelVersion
from nbprod.errors import NbprodError
from nbprod.evidence.lineage import Graph
from nbprod.evidence.subjects import NOBODY
from nbprod.evidence.tracing import build
from nbprod.lifecycle.subject.indexing import Indexes, Question, subject_of
from nbprod.lifecycle.subject.learned import subject_in
from nbprod.lifecycle.subject.standing import Standings
from nbprod.lifecycle.versions import known_versions
from nbprod.lifecycle.workspace import Workspace
from nbprod.pipeline.spec import load_pipeline

CARD = ".card.yaml"


def survey(work: Workspace, question: Question) -> Standings:
    """How everything stands to some subjects."""
    versions = known_versions(work)
    graph = build([version for version in versions if version.entry], work.index.stage_runs())
    places = dict(_places(work, graph))
    return Standings(
        graph=graph,
        indexes=Indexes(work=work),
        question=question,
        said=_said(work, graph, versions, places),
        places=places,
        versions=versions,
    )


def _places(work: Workspace, graph: Graph) -> Iterator[tuple[str, str]]:
    """Uri -> sha256 of the data that are there now, wherever data were or are."""
    known = {uri for node in graph.nodes if node.kind == "data" for uri in node.facts.get("uris", ())}
    known |= {*_inputs(work), *_with_cards(work.project.root)}
    for uri in sorted(known):
        path = work.inputs.path_of(uri)
        if _is_outside(uri) and path.exists():
            yield uri, work.store.measure(path)[0]


def _is_outside(uri: str) -> bool:
    """Whether something is no output of a stage."""
    return not uri.startswith(f"{RUNS}/")


def _inputs(work: Workspace) -> Iterator[str]:
    """What the pipelines read; one that cannot be read is not this function's to report."""
    for file in sorted((work.project.root / "pipelines").glob("*.y*ml")):
        with suppress(NbprodError):
            pipeline = load_pipeline(file, label=work.project.relative(file))
            names = {stage.name for stage in pipeline.stages}
            for stage in pipeline.stages:
                yield from (text for text in stage.inputs.values() if text.partition(".")[0] not in names)


def _with_cards(root: Path) -> Iterator[str]:
    """The data files under a project that have a card."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in (RUNS, DATA))
        for name in names:
            if name.endswith(CARD):
                yield Path(folder, name.removesuffix(CARD)).relative_to(root).as_posix()


def _said(
    work: Workspace, graph: Graph, versions: tuple[ModelVersion, ...], places: Mapping[str, str]
) -> dict[str, frozenset[str | None]]:
    """Sha256 -> what cards say of these bytes; where none speaks of them, what a card says of their place now."""
    found: dict[str, set[str | None]] = {}
    for version in versions:
        for item in version.entry.get("inputs", ()):
            if not item["stage"]:
                found.setdefault(item["sha256"], set()).add(subject_in(item))
    now: dict[str, str | None] = {}
    for uri in {*places, *(uri for node in graph.nodes for uri in node.facts.get("uris", ()) if _is_outside(uri))}:
        with suppress(NbprodError):  # a card that is none says nothing
            now[uri] = subject_of(work.inputs.path_of(uri), label=uri)
    for uri, sha256 in places.items():
        found.setdefault(sha256, set()).add(now.get(uri))
    for node in graph.nodes:
        facts: Mapping[str, Any] = node.facts
        if node.kind == "data" and not any(found.get(facts["sha256"], ())):
            columns = (now.get(uri) for uri in facts.get("uris", ()))
            found.setdefault(facts["sha256"], set()).update(column for column in columns if column and column != NOBODY)
    return {sha256: frozenset(said) for sha256, said in found.items()}
