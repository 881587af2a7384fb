"""``nbprod build``: a version as a folder that is ready to deploy, proven in a clean environment before it appears."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal

from nbprod.digest import sha256_file
from nbprod.entities import Fact, ModelVersion
from nbprod.errors import ArtifactError, DeployError, UsageError
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.sources import Bytes
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.packaging import bundle, guide, image, kubernetes, lock, sbom
from nbprod.packaging.proof import Proof, prove
from nbprod.packaging.wheel import own_wheel
from nbprod.registry import Registry
from nbprod.trust.folder import check_folder
from nbprod.trust.keys import Keys, PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Fact):
    """What a bundle is to hold beside the least.

    Attributes:
        wheels: ``all`` to install without a network, ``own`` for nbprod's own wheel only.
        base: the image to build on; empty for the one of Python's version.
        kubernetes: whether manifests are in it.
        tracing: whether it can send traces with OpenTelemetry.
    """

    wheels: Literal["own", "all"] = "own"
    base: str = ""
    kubernetes: Literal["yes", "no"] = "no"
    tracing: Literal["yes", "no"] = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built(Fact):
    """A bundle that was built, and what it did in a clean environment."""

    folder: str
    digest: str
    manifest: bundle.Manifest
    proof: Proof


def build(text: str, folder: Path, wanted: Wanted) -> Built:
    """Make the bundle of a version.

    Raises:
        UsageError: there is no such version, the folder is not empty, or the version is signed with a key that is not
            trusted.
        ArtifactError: the version's bytes are not what was recorded or signed.
        DeployError: its packages cannot be had, or it does not work in a clean environment; no folder is left.
    """
    base = image.check_base(wanted.base) if wanted.base else ""
    bundle.refuse_used(folder)
    lock.find_uv()
    with open_existing() as work, ExitStack() as stack:
        version = find_version(text, work)
        python = lock.minor_of(str(version.entry["environment"]["python"]))
        interpreter = lock.find_python(python)
        registry = stack.enter_context(open_registry(work.project))
        part = stack.enter_context(bundle.new_folder(folder))
        facts = _contents(part, version, work, registry)
        facts |= {"python": python, "base": base or image.BASE.format(python=python), "wheels": wanted.wheels}
        facts |= _packages(part, version, wanted, interpreter=interpreter, python=python)
        _write_texts(part, version, facts, wanted)
        manifest = bundle.seal(part, facts)
        try:
            proof = prove(part, python=interpreter, wheels=wanted.wheels)
        except DeployError as error:
            raise DeployError(f"{version.ref} was not built: {error.message}") from error
        bundle.check_bundle(part)  # what serves only reads
    return Built(folder=str(folder), digest=manifest.digest, manifest=manifest, proof=proof)


def _contents(part: Path, version: ModelVersion, work: Workspace, registry: Registry) -> dict[str, Any]:
    """Place what the registry has of a version; its bytes are compared with the entry and with the signature."""
    with ExitStack() as stack:
        folder = Bytes(work=work, registry=registry, stack=stack).folder(version)
        key = _signed_by(version, folder)
        bundle.place_model(part, folder)
    bundle.place_keys(part, [key] if key else [])
    bundle.place_statements(part, registry.statements(version.name, version.version))
    signature = {"signature": "ok" if key else "unsigned", "key": key.id if key else ""}
    return bundle.about(version, signature=signature, nbprod=installed_version("nbprod"))


def _signed_by(version: ModelVersion, folder: Path) -> PublicKey | None:
    """The key that a version is signed with; None if it is not signed."""
    keys = Keys()
    found = check_folder(folder, keys)
    match found.state:
        case "unsigned":
            return None
        case "ok":
            return keys.find(found.key)
        case "bad":
            raise ArtifactError(f"{version.ref} is not what was signed: {' '.join(found.problems)}")
        case "revoked":
            raise UsageError(f"{version.ref} is signed with the key {found.key}, which was revoked: register it anew.")
    raise UsageError(
        f"{version.ref} is signed with the key {found.key}, which you did not pin: nbprod keys --pin, if you know "
        "whose it is."
    )


def _packages(part: Path, version: ModelVersion, wanted: Wanted, *, interpreter: str, python: str) -> dict[str, Any]:
    """Write the lock and the wheels."""
    wheels = part / bundle.WHEELS
    wheels.mkdir()
    wheel = own_wheel(wheels)
    extras = ("serve", "tracing") if wanted.tracing == "yes" else ("serve",)
    text = lock.resolve(lock.needs(version.entry, extras=extras), lock.pins(version.entry), python=python)
    text = lock.with_wheel(text, wheel, sha256_file(wheel))
    (part / bundle.LOCK).write_text(text, encoding="utf-8")
    if wanted.wheels == "all":
        lock.gather(part / bundle.LOCK, wheels, python=interpreter)
    here = f"{platform.system().lower()} {platform.machine()}" if wanted.wheels == "all" else ""
    return {"packages": len(lock.read_lock(text)), "platform": here}


def _write_texts(part: Path, version: ModelVersion, facts: dict[str, Any], wanted: Wanted) -> None:
    """Write what is made from the rest: the recipe of the image, the SBOM, manifests and the guide."""
    recipe = image.containerfile(ref=version.ref, base=facts["base"], python=facts["python"], wheels=wanted.wheels)
    (part / "Containerfile").write_text(recipe, encoding="utf-8")
    packages = lock.read_lock((part / bundle.LOCK).read_text(encoding="utf-8"))
    document = sbom.sbom(
        ref=version.ref, entry=version.digest, sha256=str(version.entry["model"]["sha256"]), packages=packages
    )
    bundle.write_json(part / sbom.FILE, document)
    (part / "README.md").write_text(guide.guide(version.entry, facts, kubernetes=wanted.kubernetes), encoding="utf-8")
    if wanted.kubernetes == "yes":
        service = kubernetes.Service(name=version.name, version=version.version, entry=version.digest)
        for name, content in kubernetes.rendered(service).items():
            place = part / bundle.KUBERNETES / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
