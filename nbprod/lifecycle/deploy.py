"""``nbprod deploy``: a version as a bundle, placed on a target, and noted under ``.nbprod/deployments/``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal

from nbprod.errors import DeployError, UsageError, nearest
from nbprod.lifecycle.build import Wanted, build
from nbprod.lifecycle.versions import find_version
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.packaging.bundle import MANIFEST, Manifest, check_bundle, read_manifest
from nbprod.packaging.image import image_tag
from nbprod.packaging.kubernetes import Service, as_yaml, overlay
from nbprod.plugins import check_signature
from nbprod.targets import GROUP, Deployment, Placement
from nbprod.targets import container as containers
from nbprod.targets import local as processes
from nbprod.targets.state import read, read_all, save, state_file

FOLDER = "deployments"
"""Under ``.nbprod/``: what is deployed, and what targets keep."""

BUNDLES = "bundles"
"""Under ``.nbprod/``: the bundles that `deploy` built."""


def deploy(text: str, target: str, options: Mapping[str, Any]) -> Deployment:
    """Place a version, or a bundle by its folder, on a target.

    Args:
        options: of the target, by the names of its keywords.

    Raises:
        UsageError: there is no such version, target or option.
        ArtifactError: the bundle is not the one that was built.
        DeployError: it could not be built, or does not work there.
    """
    function = check_signature(GROUP, target, options, noun="target")
    with open_existing() as work:
        folder = work.project.data / FOLDER
        bundle, manifest = _bundle(text, work)
        file = state_file(folder, manifest.name, target)
        details = {"image": image_tag(manifest.ref), **_overlay(manifest, options, target=target)}
        wanted = Deployment(
            name=manifest.name, version=manifest.version, target=target, entry=manifest.entry,
            bundle=str(bundle), digest=manifest.digest, details=details,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        placed: Deployment = function(
            Placement(wanted=wanted, bundle=bundle, folder=folder, previous=read(file)), **options
        )
        if target != "local":  # its supervisor notes what is so
            save(file, placed)
        return placed


def _bundle(text: str, work: Workspace) -> tuple[Path, Manifest]:
    """The bundle that is meant: a folder, or one of a version that is built unless it was before."""
    named = Path(text)
    if (named / MANIFEST).is_file():
        return named.resolve(), check_bundle(named)
    version = find_version(text, work)
    with_nbprod = installed_version("nbprod")  # another nbprod makes another bundle
    place = work.project.data / BUNDLES / f"{version.name}-{version.version}-{version.digest[:12]}-{with_nbprod}"
    if (place / MANIFEST).is_file():
        if read_manifest(place).entry != version.digest:
            raise DeployError(f"is the bundle of another version than {version.ref}: remove it.", file=str(place))
        return place, check_bundle(place)
    build(version.ref, place, Wanted(wheels="all", kubernetes="yes"))
    return place, read_manifest(place)


def _overlay(manifest: Manifest, options: Mapping[str, Any], *, target: str) -> dict[str, str]:
    if target != "kubernetes":
        return {}
    service = Service(name=manifest.name, version=manifest.version, entry=manifest.entry)
    image, namespace = str(options.get("image", "")), str(options.get("namespace", ""))
    return {"overlay": as_yaml([overlay(service, base="../../base", image=image, namespace=namespace)])}


def deployments() -> tuple[Deployment, ...]:
    """Everything that is deployed from this project, as it is now."""
    with open_existing() as work:
        return tuple(_looked_at(work, item) for item in read_all(work.project.data / FOLDER))


def _looked_at(work: Workspace, deployment: Deployment) -> Deployment:
    if deployment.target != "local":
        return deployment
    return processes.looked_at(deployment, state_file(work.project.data / FOLDER, deployment.name, "local"))


def stop(name: str, target: Literal["local", "container"] | str) -> Deployment:
    """Stop what is deployed under a name.

    Raises:
        UsageError: nothing is, or the target cannot be stopped from here.
    """
    with open_existing() as work:
        folder = work.project.data / FOLDER
        model = name.partition("/")[0].partition("@")[0]
        file = state_file(folder, model, target)
        found = read(file)
        if found is None:
            known = {item.name for item in read_all(folder) if item.target == target}
            raise UsageError(f"nothing is deployed as '{model}' with the target {target}.{nearest(model, known)}")
        if target == "local":
            return processes.stop(found, file)
        if target != "container":
            raise UsageError(
                f"the target {target} is not stopped from here: kubectl delete -k {found.details['overlay']}"
            )
        stopped = containers.stop(found)
        save(file, stopped)
        return stopped
