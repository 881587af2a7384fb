"""Where a bundle runs: targets are plain functions under the entry point group ``nbprod.targets``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbprod.entities import JSON, Fact

GROUP = "nbprod.targets"
"""The entry point group: ``target(placement, *, options) -> Deployment``."""

SCHEMA = "nbprod/deployment/1"

Status = Literal["starting", "ready", "restarting", "failed", "stopped", "written", "applied"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Fact):
    """A bundle that was placed on a target.

    Attributes:
        name: of the model; a target holds one deployment of a name.
        entry: digest of the version's entry, so that lineage can find it.
        bundle: the bundle's folder.
        digest: of the bundle.
        url: where it answers; empty if that is not known here.
        status: ``written`` and ``applied`` are a cluster's, whose services are not watched from here.
        reason: why it is so, a sentence; empty where all is well.
        since: when it was placed.
        previous: the version that was there before, as ``name/version``, and its bundle.
        processes: ``supervisor`` and ``service`` -> process id, of the target local.
        restarts: how often the service was started again since it was placed.
        details: what the target adds, such as the image's name.
    """

    name: str
    version: str
    target: str
    entry: str = ""
    bundle: str = ""
    digest: str = ""
    url: str = ""
    status: Status = "starting"
    reason: str = ""
    since: str = ""
    previous: dict[str, str] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    details: dict[str, JSON] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What a target is asked to run.

    Attributes:
        wanted: the deployment as it is to be; its status and processes are the target's to say.
        bundle: the bundle's folder.
        folder: where the target may keep what it needs: ``.nbprod/deployments/``.
        previous: what the same target holds under this name now.
    """

    wanted: Deployment
    bundle: Path
    folder: Path
    previous: Deployment | None = None


def as_document(deployment: Deployment) -> dict[str, Any]:
    """A deployment as it is written to disk."""
    return {"schema": SCHEMA, **deployment.to_dict()}
