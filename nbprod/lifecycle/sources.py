"""Where the bytes of a version come from when it is judged: each is compared with what the entry recorded of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nbprod.digest import sha256_file, sha256_path
from nbprod.entities import Artifact, ModelVersion
from nbprod.errors import ArtifactError
from nbprod.evidence.folder import model_files
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.workspace import Workspace
from nbprod.registry import Registry
from nbprod.registry.database import local_path, local_version
from nbprod.trust.folder import Checked, check_folder
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """See `nbprod.gates.contender.Source`; folders that were brought are removed when the stack is left."""

    work: Workspace
    registry: Registry
    stack: ExitStack
    brought: dict[str, Path] = field(default_factory=dict)

    def folder(self, version: ModelVersion) -> Path:
        """The registered folder, brought from the registry; every file of the model is the recorded one.

        Raises:
            ArtifactError: a file was changed, added or taken away; it is named.
        """
        if version.ref not in self.brought:
            folder = self.raw_folder(version)
            compare_files(version, folder)
            self.brought[version.ref] = folder
        return self.brought[version.ref]

    def raw_folder(self, version: ModelVersion) -> Path:
        """The registered folder as the registry gives it, compared with nothing."""
        scratch = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="nbprod-"))
        return Path(self.registry.download(version.name, version.version, scratch))

    def data(self, item: Mapping[str, Any]) -> Path:
        """A dataset where it was when it was read, if its bytes are still the same; else from the store.

        Raises:
            ArtifactError: neither has its bytes.
        """
        uri, sha256 = str(item["uri"]), str(item["sha256"])
        place = self.work.project.root / uri
        if "://" not in uri and place.exists() and sha256_path(place) == sha256:
            return place
        if sha256 not in self.brought:
            artifact = Artifact(name=item["name"], uri=uri, sha256=sha256, size=item["bytes"], kind=item["kind"])
            if not self.work.store.holds(artifact):
                raise ArtifactError(
                    f"the dataset '{item['name']}' is neither in the store nor unchanged at {uri}: bring it back "
                    f"there, its sha256 is {sha256}."
                )
            scratch = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="nbprod-"))
            target = Path(scratch, uri.rstrip("/").rsplit("/", 1)[-1])
            self.work.store.place(artifact, target)
            self.brought[sha256] = target
        return self.brought[sha256]

    def found(self, item: Mapping[str, Any]) -> str:
        """See `nbprod.gates.contender.Source`."""
        uri = str(item["uri"])
        place = self.work.project.root / uri
        if "://" not in uri and place.exists():
            return sha256_path(place)
        self.data(item)  # ArtifactError if the store has not kept it
        return str(item["sha256"])


@contextmanager
def registered_folder(version: ModelVersion, work: Workspace, scratch: Path) -> Iterator[Path]:
    """Where a version's files are: in a local registry itself, without importing MLflow, else brought from it."""
    path = local_path(work.project.registry_uri())
    local = local_version(path, version.name, version.version) if path is not None else None
    if local is not None:
        yield local
        return
    brought = Path(tempfile.mkdtemp(prefix="brought-", dir=scratch))
    with open_registry(work.project) as registry:
        yield Path(registry.download(version.name, version.version, str(brought)))
    shutil.rmtree(brought, ignore_errors=True)


def copied(version: ModelVersion, work: Workspace, scratch: Path) -> Path:
    """A copy of a version's folder, to load its model from; every file of the model is the recorded one.

    Raises:
        ArtifactError: a file was changed, added or taken away; it is named.
    """
    target = scratch / "copied"
    with registered_folder(version, work, scratch) as folder:
        shutil.copytree(folder, target)
    compare_files(version, target)  # of the copy, so that what is loaded is what was compared
    return target


def check_bytes(work: Workspace, registry: Registry, version: ModelVersion) -> Checked:
    """Compare a version's files with its entry, and tell what its signature is worth.

    Raises:
        ArtifactError: a file is not the recorded one, or not the one that was signed.
    """
    with ExitStack() as stack:
        hash_file = cache(sha256_file)
        folder = Bytes(work=work, registry=registry, stack=stack).raw_folder(version)
        compare_files(version, folder, hash_file)
        found = check_folder(folder, Keys(), hash_file=hash_file)
    if found.state == "bad":
        raise ArtifactError(f"{version.ref} is not what was signed: {' '.join(found.problems)}")
    return found


def compare_files(version: ModelVersion, folder: Path, hash_file: Callable[[Path], str] = sha256_file) -> None:
    """Compare the model's files with the entry.

    Raises:
        ArtifactError: one was changed, added or taken away.
    """
    recorded: Mapping[str, str] = version.entry["model"]["files"]
    found = model_files(folder, hash_file)
    for name in sorted({*recorded, *found}):
        if recorded.get(name) != found.get(name):
            what = "is missing" if name not in found else "was added" if name not in recorded else "was changed"
            raise ArtifactError(
                f"{version.ref} is not what was registered: its file {name} {what} since; do not use it, and find out "
                "who could write there."
            )
