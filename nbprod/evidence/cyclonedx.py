"""A version as a bill of materials: CycloneDX 1.6 in JSON, with the model, its card, its data and its packages.

It is made of the entry alone and of nothing that changes, so that the same version gives the same bytes. What the entry
does not know is left out there: the format has no word for it, and a guess would be worse.
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from nbprod.entities import JSON, ModelVersion
from nbprod.evidence.entry import DERIVED, UNKNOWN

_ADDRESS = re.compile(
    r"(?P<host>(?:https?|ftp)://[A-Za-z0-9.-]+(?::[0-9]+)?)(?P<rest>[/?#].*)?\Z", re.ASCII | re.DOTALL
)
_STRAY = re.compile("%(?![0-9A-Fa-f]{2})")


def bill(version: ModelVersion, *, tool: str) -> dict[str, JSON]:
    """The bill of materials of a version.

    Args:
        version: with its entry.
        tool: nbprod's own version.
    """
    entry = version.entry
    packages = _packages(entry)
    datasets = _datasets(entry)
    model = _model(version, datasets)
    needed = [item["bom-ref"] for item in (*datasets, *packages) if item.get("scope") != "optional"]
    metadata: dict[str, JSON] = {
        "tools": {"components": [{"type": "application", "name": "nbprod", "version": tool}]},
        "component": model,
        "properties": _properties(version),
    }
    if time := utc(entry["run"]["started"]):
        metadata = {"timestamp": time, **metadata}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:nbprod:entry:{version.digest}')}",
        "version": 1,
        "metadata": metadata,
        "components": [*datasets, *packages],
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": needed},
            *({"ref": ref, "dependsOn": sources} for ref, sources in _derivations(entry).items()),
        ],
    }


def utc(time: str) -> str:
    """A time of an entry as RFC 3339 has it in UTC; empty if it is not known."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except ValueError:
        return ""


def purl(name: str, version: str) -> str:
    """A distribution of PyPI as a package URL (https://github.com/package-url/purl-spec)."""
    from packaging.utils import canonicalize_name

    return f"pkg:pypi/{canonicalize_name(name)}@{quote(version, safe='.-_~')}"


def distributions(entry: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Name and version of everything that was installed, each once."""
    seen: dict[str, tuple[str, str]] = {}
    for line in entry["environment"]["freeze"]:
        name, _, version = line.partition("==")
        seen.setdefault(purl(name, version), (name, version))
    return seen.values()


def _packages(entry: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """What was installed; what the notebooks import, with what that needs, and what loads the model, is required."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    required = {canonicalize_name(name) for name in entry["environment"]["key"]}
    for text in entry["model"]["requirements"]:
        try:
            required.add(canonicalize_name(Requirement(text).name))
        except InvalidRequirement:
            continue  # a line of another kind, such as -r or a path
    return [
        {
            "type": "library",
            "bom-ref": purl(name, version),
            "name": name,
            "version": version,
            "scope": "required" if canonicalize_name(name) in required else "optional",
            "purl": purl(name, version),
        }
        for name, version in distributions(entry)
    ]


def _datasets(entry: Mapping[str, Any]) -> list[dict[str, JSON]]:
    found: dict[str, dict[str, JSON]] = {}
    for item in entry["inputs"]:
        found.setdefault(item["sha256"], _dataset(item))
    return list(found.values())


def _dataset(item: Mapping[str, Any]) -> dict[str, JSON]:
    """A dataset with what its card says of it."""
    card: Mapping[str, Any] = item["card"] if isinstance(item["card"], Mapping) else {}
    name = card.get("name") or item["uri"].rstrip("/").rsplit("/", 1)[-1] or item["name"]
    data: dict[str, JSON] = {"type": "dataset", "name": name}
    if url := address(card.get("url", "")):
        data["contents"] = {"url": url}
    if personal := [*dict.fromkeys([*card.get("personal", ()), *card.get("sensitive", ())])]:
        data |= {"classification": "personal data", "sensitiveData": personal}
    if card.get("publisher") or card.get("contact"):
        owner: dict[str, JSON] = {"name": card.get("publisher") or card["contact"]}
        if card.get("contact"):
            owner["contact"] = [{"name": card["contact"]}]
        data["governance"] = {"owners": [{"organization": owner}]}
    made: dict[str, JSON] = {"type": "data", "bom-ref": f"data:{item['sha256']}", "name": name}
    if card.get("version"):
        made["version"] = card["version"]
    if card.get("description"):
        made["description"] = card["description"]
    if item["kind"] == "file":
        made["hashes"] = [{"alg": "SHA-256", "content": item["sha256"]}]
    if licences := licence(card.get("license", "")):
        made["licenses"] = licences
    made["data"] = [data]
    state = "card" if card else "derived from other data" if item["card"] == DERIVED else UNKNOWN
    facts = {
        "sha256": item["sha256"], "path": item["uri"], "role": item["role"], "rows": item["rows"], "terms": state,
        "measured": item["measured"],
    }  # fmt: skip
    made["properties"] = _named("data", {**facts, "termsOfUse": card.get("terms")})
    return made


def licence(text: str) -> list[dict[str, JSON]]:
    """A card's licence: an SPDX expression where it is one, else a name; nothing where there is none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if not text or text == UNKNOWN:
        return []
    try:
        return [{"expression": str(canonicalize_license_expression(text))}]
    except InvalidLicenseExpression:
        url = address(text)
        return [{"license": {"name": text, **({"url": url} if url else {})}}]


def address(text: str) -> str:
    """An address of the web as the format takes it, with all odd characters escaped; empty for anything else."""
    found = _ADDRESS.match(text.strip())
    if found is None:
        return ""
    path, _, fragment = (found["rest"] or "").partition("#")
    escaped = [_STRAY.sub("%25", quote(part, safe="/?:@!$&'()*+,;=%")) for part in (path, fragment)]
    return found["host"] + "#".join(part for part in escaped if part)


def _derivations(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """Data -> the data that the stage which made them read."""
    stages = {stage["name"]: stage for stage in entry["run"]["stages"]}
    known = {item["sha256"] for item in entry["inputs"]}
    found: dict[str, list[str]] = {}
    for item in entry["inputs"]:
        read = stages[item["stage"]]["inputs"].values() if item["stage"] in stages else ()
        sources = [f"data:{sha256}" for sha256 in dict.fromkeys(read) if sha256 in known and sha256 != item["sha256"]]
        found.setdefault(f"data:{item['sha256']}", sources)
    return found


def _model(version: ModelVersion, datasets: Iterable[Mapping[str, Any]]) -> dict[str, JSON]:
    entry, model = version.entry, version.entry["model"]
    made: dict[str, JSON] = {
        "type": "machine-learning-model",
        "bom-ref": f"entry:{version.digest}",
        "name": version.name,
        "version": version.version,
    }
    if entry["owner"] != UNKNOWN:
        made["authors"] = [{"name": entry["owner"]}]
    if entry["intended_use"] != UNKNOWN:
        made["description"] = entry["intended_use"]
    made["components"] = [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": sha256}]}
        for name, sha256 in sorted(model["files"].items())
    ]
    made["modelCard"] = _card(entry, datasets)
    facts = {
        "sha256": model["sha256"], "flavor": model["flavor"], "serialization": model["serialization"] or None,
        "target": model["target"], "mainMetric": model["main_metric"], "seed": entry["run"]["seed"],
        "parent": entry["parent"] and entry["parent"]["digest"],
    }  # fmt: skip
    made["properties"] = _named("model", facts)
    return made


def _card(entry: Mapping[str, Any], datasets: Iterable[Mapping[str, Any]]) -> dict[str, JSON]:
    signature = entry["model"]["signature"]
    parameters: dict[str, JSON] = {}
    if entry["model"]["target"]:
        parameters["approach"] = {"type": "supervised"}
    parameters["datasets"] = [{"ref": item["bom-ref"]} for item in datasets]
    for key in ("inputs", "outputs"):
        parameters[key] = [{"format": _format(column)} for column in signature[key] or ()]
    considerations: dict[str, JSON] = {}
    if entry["intended_use"] != UNKNOWN:
        considerations["useCases"] = [entry["intended_use"]]
    if entry["limitations"] != UNKNOWN:
        considerations["technicalLimitations"] = [entry["limitations"]]
    values = {
        f"{stage['name']}.{name}": value
        for stage in entry["run"]["stages"]
        for name, value in stage["parameters"].items()
    }
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": [_metric(metric) for metric in entry["metrics"]]},
        "considerations": considerations,
        "properties": _named("parameter", values),
    }


def _format(column: Mapping[str, Any]) -> str:
    """A column or tensor of MLflow's signature."""
    name = f"{column['name']}: " if column.get("name") else ""
    if tensor := column.get("tensor-spec"):
        return f"{name}{tensor['dtype']}[{', '.join(map(str, tensor['shape']))}]"
    return f"{name}{column.get('type', UNKNOWN)}"


def _metric(metric: Mapping[str, Any]) -> dict[str, JSON]:
    made: dict[str, JSON] = {"type": metric["name"], "value": str(metric["value"]), "slice": metric["dataset"]}
    if metric["interval"]:
        lower, upper = metric["interval"]
        made["confidenceInterval"] = {"lowerBound": str(lower), "upperBound": str(upper)}
    return made


def _properties(version: ModelVersion) -> list[dict[str, JSON]]:
    entry = version.entry
    git = entry["source"]["git"] if isinstance(entry["source"]["git"], Mapping) else {}
    facts = {
        "entry": version.digest, "run": entry["run"]["id"], "pipeline": entry["pipeline"]["path"],
        "commit": git.get("commit"), "uncommittedChanges": git.get("diff_sha256"),
        "python": entry["environment"]["python"], "platform": entry["environment"]["platform"],
    }  # fmt: skip
    return _named("", facts)


def _named(group: str, facts: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Facts as the format's properties, in nbprod's name space; those that are not known are left out."""
    prefix = f"nbprod:{group}:" if group else "nbprod:"
    return [
        {"name": f"{prefix}{name}", "value": value if isinstance(value, str) else _text(value)}
        for name, value in facts.items()
        if value is not None
    ]


def _text(value: JSON) -> str:
    """A value of another kind as JSON writes it."""
    import json

    return json.dumps(value, ensure_ascii=False)
