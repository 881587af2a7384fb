"""The target ``kubernetes``: an overlay over the bundle's manifests, applied where that is asked for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

from nbprod.errors import DeployError, UsageError
from nbprod.store import remove, write_text, written_whole
from nbprod.targets import Deployment, Placement
from nbprod.targets.command import call
from nbprod.targets.state import now


def kubernetes(
    placement: Placement, *, image: str, namespace: str = "", mode: Literal["write", "apply"] = "write"
) -> Deployment:
    """Write what a cluster is to run, and apply it with `kubectl` when asked to.

    Args:
        image: where the cluster finds the image, with a tag or, better, a digest.
        namespace: by default the one that `kubectl` uses.
        mode: ``apply`` to change the cluster.

    Raises:
        UsageError: the bundle was built without manifests.
        DeployError: there is no `kubectl`, or it refuses.
    """
    wanted = placement.wanted
    if not (placement.bundle / "kubernetes").is_dir():
        raise UsageError("has no manifests: build it with --kubernetes.", file=str(placement.bundle))
    place = placement.folder / f"{wanted.name}.kubernetes"
    with written_whole(place) as part:
        shutil.copytree(placement.bundle / "kubernetes", part)
        remove(place)
    target = place / "overlays" / "production"
    write_text(target / "kustomization.yaml", str(wanted.details["overlay"]))
    made = replace(wanted, since=now(), status="written", details={"overlay": str(target), "image": image})
    if mode == "write":
        return replace(made, details={**made.details, "next": f"kubectl apply -k {target}"})
    apply(target, namespace=namespace)
    return replace(made, status="applied")


def apply(overlay: Path, *, namespace: str) -> None:
    """Change the cluster that `kubectl` is connected to."""
    program = shutil.which("kubectl")
    if program is None:
        raise DeployError(f"there is no kubectl on this machine: apply {overlay} where there is.")
    where = ["--namespace", namespace] if namespace else []
    call([program, "apply", "-k", overlay, *where], doing="apply the overlay", timeout=300)
