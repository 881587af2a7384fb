"""The list of what is installed."""

from __future__ import annotations

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from nbprod.packaging.lock import read_lock
from nbprod.packaging.sbom import sbom
from tests.packaging.made import LOCK


def test_every_package_is_listed_and_the_model_depends_on_it() -> None:
    found = sbom(ref="churn/3", entry="e" * 64, sha256="d" * 64, packages=read_lock(LOCK))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    refs = ["pkg:pypi/numpy@2.4.6", "pkg:pypi/scikit-learn@1.9.1"]
    assert [part["purl"] for part in found["components"]] == refs
    assert found["dependencies"] == [{"ref": "model:churn/3", "dependsOn": refs}]


def test_a_hash_is_told_only_where_it_is_that_of_what_is_installed() -> None:
    several, one = sbom(ref="churn/3", entry="e", sha256="d", packages=read_lock(LOCK))["components"]
    assert "hashes" not in several
    assert one["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]


def test_the_serial_number_is_of_what_is_in_it_and_not_of_when_it_was_made() -> None:
    def serial(entry: str) -> object:
        return sbom(ref="churn/3", entry=entry, sha256="d", packages=read_lock(LOCK))["serialNumber"]

    assert serial("a") == serial("a") != serial("b")


def test_it_is_valid_for_the_format_s_own_schema() -> None:
    found = sbom(ref="churn/3", entry="e" * 64, sha256="d" * 64, packages=read_lock(LOCK))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found)) is None
