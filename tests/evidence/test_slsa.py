"""The provenance is a statement that in-toto's own classes read, and claims no more than is known."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from nbprod.entities import ModelVersion
from nbprod.evidence.entry import Evidence, build, digest
from nbprod.evidence.slsa import BUILD_TYPE, BUILDER, FOREIGN_BUILD_TYPE, provenance
from tests.evidence.made import FILES, RAW, YAML, afterwards, evidence


def made(of: Evidence) -> dict[str, Any]:
    entry = build(of)
    version = ModelVersion(name=entry["name"], version="3", digest=digest(entry), entry=entry)
    found = provenance(version, FILES, tool="1.0")
    json_format.ParseDict(found["predicate"], provenance_pb2.Provenance())
    read = json_format.ParseDict(found, statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    return found


def test_the_subjects_are_the_files_of_the_registered_folder() -> None:
    subjects = made(evidence())["subject"]
    assert {item["name"]: item["digest"]["sha256"] for item in subjects} == FILES


def test_what_was_asked_and_what_was_used_is_named() -> None:
    predicate = made(evidence())["predicate"]
    definition = predicate["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    asked = definition["externalParameters"]
    assert asked["parameters"] == {"train": {"seed": 0, "rate": "inf", "big": str(2**60)}}
    assert asked["pipeline"]["path"] == "pipelines/churn.yaml"
    used = definition["resolvedDependencies"]
    assert used[0] == {"name": "git", "digest": {"gitCommit": "f" * 40}}
    assert {"name": RAW.uri, "digest": {"sha256": RAW.sha256}} in used
    assert {"name": "numpy", "uri": "pkg:pypi/numpy@2.4.6"} in used
    assert not any("test.parquet" in item["name"] for item in used)  # a stage made it
    assert YAML not in str(used)


def test_no_level_and_no_build_platform_is_claimed() -> None:
    found = made(evidence())
    assert found["predicate"]["runDetails"]["builder"]["id"] == BUILDER
    assert "level" not in str(found).lower()


def test_a_notebook_that_ran_elsewhere_is_of_another_build_type_without_times() -> None:
    predicate = made(afterwards())["predicate"]
    assert predicate["buildDefinition"]["buildType"] == FOREIGN_BUILD_TYPE
    assert predicate["runDetails"]["metadata"] == {"invocationId": "r1"}
    assert all(item["name"] != "git" for item in predicate["buildDefinition"]["resolvedDependencies"])
