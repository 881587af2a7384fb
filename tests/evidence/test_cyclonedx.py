"""The bill of materials is valid for CycloneDX's own schema, says what the entry says, and is the same every time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nbprod.entities import DatasetCard, ModelVersion
from nbprod.evidence.cyclonedx import bill, licence, purl, utc
from nbprod.evidence.data import Shape
from nbprod.evidence.entry import Evidence, InputEvidence, build, digest
from tests.evidence.made import RAW, TEST, afterwards, evidence

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def made(of: Evidence) -> dict[str, Any]:
    entry = build(of)
    version = ModelVersion(name=entry["name"], version="3", digest=digest(entry), entry=entry)
    found = bill(version, tool="1.0")
    assert found == bill(version, tool="1.0")
    problem = VALIDATOR.validate_str(json.dumps(found))
    assert problem is None, problem
    refs = [found["metadata"]["component"]["bom-ref"], *(item["bom-ref"] for item in found["components"])]
    assert len(set(refs)) == len(refs)
    assert {ref for item in found["dependencies"] for ref in (item["ref"], *item["dependsOn"])} <= set(refs)
    return found


def test_the_model_has_its_card() -> None:
    model = made(evidence())["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "churn", "3")
    assert model["authors"] == [{"name": "The retention team"}]
    card = model["modelCard"]
    assert card["modelParameters"]["approach"] == {"type": "supervised"}
    assert card["modelParameters"]["inputs"] == [{"format": "age: long"}]
    assert card["modelParameters"]["outputs"] == [{"format": "int64[-1]"}]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "roc_auc", "value": "0.9", "slice": "test",
         "confidenceInterval": {"lowerBound": "0.8", "upperBound": "inf"}},
        {"type": "lift", "value": "nan", "slice": "train"},
    ]  # fmt: skip
    assert card["considerations"] == {"useCases": ["Calls to customers."], "technicalLimitations": ["Not for prices."]}
    assert {"name": "nbprod:parameter:train.seed", "value": "0"} in card["properties"]
    assert model["components"][0] == {
        "type": "file", "name": "MLmodel", "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
    }  # fmt: skip


def test_data_have_licences_hashes_and_what_they_were_made_from() -> None:
    card = DatasetCard(
        license="cc-by-4.0", personal=("age",), sensitive=("health",), publisher="The Bureau", contact="a@b.c",
        url="https://example.org/a b", version="2", description="People.",
    )  # fmt: skip
    found = made(evidence(inputs=(
        InputEvidence(artifact=TEST, role="test", stage="train", shape=Shape(rows=5, columns=("age",))),
        InputEvidence(artifact=RAW, role="input", card=card),
    )))  # fmt: skip
    test, raw = found["components"][:2]
    assert raw["licenses"] == [{"expression": "CC-BY-4.0"}]
    assert raw["hashes"] == [{"alg": "SHA-256", "content": RAW.sha256}]
    (data,) = raw["data"]
    assert (data["classification"], data["sensitiveData"]) == ("personal data", ["age", "health"])
    assert data["contents"] == {"url": "https://example.org/a%20b"}
    assert "licenses" not in test
    assert {"name": "nbprod:data:terms", "value": "derived from other data"} in test["properties"]
    derived = {item["ref"]: item["dependsOn"] for item in found["dependencies"]}
    assert derived[test["bom-ref"]] == [raw["bom-ref"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MIT", [{"expression": "MIT"}]),
        ("MIT or apache-2.0", [{"expression": "MIT OR Apache-2.0"}]),
        ("Ask us", [{"license": {"name": "Ask us"}}]),
        ("https://a.b/c d", [{"license": {"name": "https://a.b/c d", "url": "https://a.b/c%20d"}}]),
        ("unknown", []),
        ("", []),
    ],
)
def test_a_licence_is_an_expression_a_name_or_nothing(text: str, found: list[Any]) -> None:
    assert licence(text) == found


def test_packages_are_libraries_of_the_index_and_those_that_count_are_required() -> None:
    environment = {**evidence().environment, "freeze": ["Numpy==2.4.6", "my_own==1.0+cu1", "scikit-learn==1.9.1"]}
    libraries = [c for c in made(evidence(environment=environment))["components"] if c["type"] == "library"]
    assert [(c["purl"], c["scope"]) for c in libraries] == [
        ("pkg:pypi/numpy@2.4.6", "required"), ("pkg:pypi/my-own@1.0%2Bcu1", "optional"),
        ("pkg:pypi/scikit-learn@1.9.1", "required"),
    ]  # fmt: skip
    assert purl("A.b_c", "1!2") == "pkg:pypi/a-b-c@1%212"


def test_what_is_not_known_is_left_out() -> None:
    found = made(afterwards())
    assert "timestamp" not in found["metadata"]
    assert found["metadata"]["component"]["modelCard"]["considerations"] == {}
    assert utc("unknown") == ""
    assert utc("2026-01-01T13:00:00.5+01:00") == "2026-01-01T12:00:00Z"


def test_another_entry_has_another_serial_number() -> None:
    one, other = made(evidence()), made(evidence(seed=1))
    assert one["serialNumber"] != other["serialNumber"]


words = st.text(max_size=12)
addresses = st.builds(lambda rest: f"https://example.org/{rest}", words) | words


@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(
    st.builds(DatasetCard, name=words, license=addresses, url=addresses, publisher=words, contact=words, version=words)
)
def test_no_card_makes_a_bill_that_is_not_valid(card: DatasetCard) -> None:
    made(evidence(inputs=(InputEvidence(artifact=RAW, role="input", card=card),)))
