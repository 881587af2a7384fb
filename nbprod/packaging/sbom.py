"""What a bundle installs, as a CycloneDX 1.6 document: names, versions, hashes, and that a service needs all of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from nbprod.packaging.lock import Package

FILE = "sbom.cdx.json"
SPACE = uuid.UUID("6f1d1c0e-8d5b-5c39-9d9c-4a4a1f6f0b10")
"""Serial numbers are names in this space: the same bundle has the same one."""


def sbom(*, ref: str, entry: str, sha256: str, packages: Iterable[Package]) -> dict[str, Any]:
    """The document; no time stands in it, since the same version gives the same bytes.

    Args:
        entry: digest of the version's entry.
        sha256: of the model.
    """
    name, _, version = ref.rpartition("/")
    model = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{ref}",
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "properties": [{"name": "nbprod:entry", "value": entry}],
    }
    parts = [_component(package) for package in sorted(packages, key=lambda package: package.name)]
    refs = [part["bom-ref"] for part in parts]
    serial = uuid.uuid5(SPACE, " ".join([ref, entry, *refs]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": model},
        "components": parts,
        "dependencies": [{"ref": model["bom-ref"], "dependsOn": refs}],
    }


def _component(package: Package) -> dict[str, Any]:
    url = f"pkg:pypi/{package.name}@{package.version}"
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "scope": "required",
    }
    if len(package.hashes) == 1:  # of several files only one is installed, and which is not known here
        found["hashes"] = [{"alg": "SHA-256", "content": package.hashes[0]}]
    if package.marker:
        found["properties"] = [{"name": "nbprod:marker", "value": package.marker}]
    return found
