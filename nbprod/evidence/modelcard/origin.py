"""How a version was made, so that others can do it again: code, stages, environment, digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbprod.entities import ModelVersion
from nbprod.evidence.modelcard.about import parameters
from nbprod.evidence.modelcard.ancestry import ancestry
from nbprod.evidence.modelcard.blocks import Link, Mono, Number, Pairs, Section, Source, Table, Text
from nbprod.evidence.modelcard.words import UNKNOWN, told, when


def lineage(version: ModelVersion) -> Section:
    """Where it comes from, as a graph."""
    return Section(title="Lineage", blocks=(ancestry(version),))


def provenance(version: ModelVersion) -> Iterator[Section]:
    """What ran, from which code, in which environment."""
    entry = version.entry
    run, pipeline, environment = entry["run"], entry["pipeline"], entry["environment"]
    rows = [
        ("Run", Mono(run["id"])),
        ("Started", when(run["started"])),
        ("Took", f"{run['seconds']} s" if run["seconds"] != UNKNOWN else UNKNOWN),
        ("Seed", Mono(run["seed"]) if run["seed"] is not None else "none"),
        *_code(entry["source"]),
        ("Pipeline", Mono(pipeline["path"]) if pipeline["path"] else "none: a notebook by itself"),
        ("Sha256 of the pipeline", Mono(run["pipeline_sha256"])),
        ("Sha256 of the model", Mono(entry["model"]["sha256"])),
        ("Python", told(environment["python"])),
        ("Platform", told(environment["platform"])),
        ("Packages", f"{len(environment['freeze'])}, listed in nbprod/freeze.txt"),
        ("Sha256 of the packages", Mono(environment["sha256"])),
    ]
    yield Section(title="Provenance", blocks=(Pairs(rows=rows),))
    stages = [
        (
            str(stage["name"]),
            Mono(stage["notebook"]),
            parameters(stage["parameters"]),
            Number(f"{stage['seconds']}\N{NO-BREAK SPACE}s") if stage["seconds"] != UNKNOWN else "-",
            Mono(stage["key"][:12]),
        )
        for stage in run["stages"]
    ]
    yield Section(
        title="Stages",
        blocks=(Table(head=("stage", "notebook", "parameters", "took", "key"), rows=stages),),
        level=3,
    )
    if requirements := entry["model"]["requirements"]:
        text = "To load the model, install:"
        listed = Source(language="text", text="\n".join(" ".join(str(line).split()) for line in requirements))
        yield Section(title="Requirements", blocks=(Text(text=text), listed), level=3)


def _code(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The commit."""
    git = source["git"]
    if not isinstance(git, Mapping):
        return [("Commit", f"{UNKNOWN}: there was no git")]
    rows = [("Commit", Mono(git["commit"])), ("Branch", told(git["branch"]))]
    if git.get("remote"):
        rows.append(("Repository", Link(git["remote"])))
    state = "yes, kept as nbprod/diff.patch" if git["dirty"] else "none"
    return [*rows, ("Changes that were not committed", state)]
