"""How a version was made, as an in-toto statement with SLSA's provenance v1: https://slsa.dev/spec/v1.0/provenance.

It claims no level: the build ran on somebody's machine, with nothing between it and its user. What it says is what the
entry says, in words that other tools read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbprod.entities import JSON, ModelVersion
from nbprod.evidence.cyclonedx import distributions, purl, utc

KIND = "application/vnd.in-toto+json"
"""The type of the statement in its envelope."""

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"

BUILD_TYPE = "urn:nbprod:pipeline-run:1"
"""A pipeline that nbprod ran; what its parameters mean is said in ``docs/lineage.md``."""

FOREIGN_BUILD_TYPE = "urn:nbprod:registered-notebook:1"
"""A notebook that ran elsewhere and was registered afterwards: nothing was measured before."""

BUILDER = "urn:nbprod:builder:local-machine"
"""Who ran it: nbprod, on a machine that its user controls."""


def provenance(version: ModelVersion, files: Mapping[str, str], *, tool: str) -> dict[str, JSON]:
    """The statement.

    Args:
        version: with its entry.
        files: path -> sha256 of every file of the registered folder.
        tool: nbprod's own version.
    """
    entry = version.entry
    metadata: dict[str, JSON] = {"invocationId": entry["run"]["id"]}
    if time := utc(entry["run"]["started"]):
        metadata["startedOn"] = time
    ours = entry["source"]["measured"] == "before_run"
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(files.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE if ours else FOREIGN_BUILD_TYPE,
                "externalParameters": _external(entry),
                "internalParameters": {
                    "python": entry["environment"]["python"],
                    "platform": entry["environment"]["platform"],
                    "entry": version.digest,
                    "parent": entry["parent"] and entry["parent"]["digest"],
                },
                "resolvedDependencies": [*_sources(entry), *_data(entry), *_packages(entry)],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"nbprod": tool}},
                "metadata": metadata,
                "byproducts": [
                    {"name": item["executed"], "digest": {"sha256": item["executed_sha256"]}}
                    for item in entry["source"]["notebooks"]
                    if item["executed"]
                ],
            },
        },
    }


def _external(entry: Mapping[str, Any]) -> dict[str, JSON]:
    """What a person asked for: the pipeline, and the value of every parameter of every stage."""
    return {
        "pipeline": {
            "name": entry["pipeline"]["name"],
            "path": entry["pipeline"]["path"],
            "sha256": entry["run"]["pipeline_sha256"],
        },
        "model": {"name": entry["name"], "stage": entry["model"]["stage"]},
        "parameters": {stage["name"]: stage["parameters"] for stage in entry["run"]["stages"]},
    }


def _sources(entry: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """The commit, what differed from it, and the notebooks as they were written."""
    found: list[dict[str, JSON]] = []
    git = entry["source"]["git"]
    if isinstance(git, Mapping):
        remote = git.get("remote") or ""
        commit: dict[str, JSON] = {"name": "git", "digest": {"gitCommit": git["commit"]}}
        found.append({**commit, "uri": f"git+{remote}"} if "://" in remote else commit)
        if git["diff_sha256"]:
            found.append({"name": "nbprod/diff.patch", "digest": {"sha256": git["diff_sha256"]}})
    for item in entry["source"]["notebooks"]:
        if item["sha256"] != "unknown":
            found.append({"name": item["notebook"], "digest": {"sha256": item["sha256"]}})
    return found


def _data(entry: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """Data from outside: what stages made is not resolved but built."""
    found: list[dict[str, JSON]] = []
    for item in entry["inputs"]:
        if item["stage"] is None:
            made: dict[str, JSON] = {"name": item["uri"], "digest": {"sha256": item["sha256"]}}
            if item["kind"] == "folder":  # the digest of a listing, as nbprod makes it; in-toto has no name for it
                made["digest"] = {"nbprodFolder1": item["sha256"]}
            found.append({**made, "uri": item["uri"]} if "://" in item["uri"] else made)
    return found


def _packages(entry: Mapping[str, Any]) -> list[dict[str, JSON]]:
    return [{"name": name, "uri": purl(name, version)} for name, version in distributions(entry)]
