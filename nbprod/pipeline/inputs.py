"""The bytes that a stage reads: what other stages made, files of the project, and URLs that are fetched first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nbprod.config import Project
from nbprod.digest import sha256_bytes
from nbprod.entities import Artifact, StageRun
from nbprod.errors import ArtifactError, StageFailed, nearest
from nbprod.index import Index
from nbprod.pipeline.bind import BoundStage
from nbprod.store import Store, written_whole

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

VALIDATORS = ("ETag", "Content-MD5", "Digest", "Last-Modified")
"""Headers of HTTP by which one version of a file is told from the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Finds and measures inputs."""

    project: Project
    index: Index
    store: Store

    def of(self, item: BoundStage, done: Mapping[str, StageRun]) -> dict[str, Artifact]:
        """Parameter -> artifact for every input of a stage.

        Args:
            done: the stages before it, as they ended.

        Raises:
            StageFailed: a stage before it did not leave what this one reads.
            ArtifactError: a file cannot be read or fetched.
        """
        found: dict[str, Artifact] = {}
        for name, (stage, output) in item.sources.items():
            made = done[stage].outputs
            if output not in made:
                raise StageFailed(
                    f"stage '{stage}' left no '{output}', which stage '{item.name}' reads as "
                    f"'{name}'.{nearest(output, made)}",
                    stage=stage,
                )
            found[name] = _as_input(name, made[output])
        for name, text in item.files.items():
            path = self.fetch(text) if "://" in text else self.project.root / text
            uri = text if "://" in text else self.project.relative(path)
            try:
                found[name] = self.store.artifact(path, name=name, uri=uri, role="input")
            except OSError as error:
                raise ArtifactError(
                    f"input '{name}' of stage '{item.name}' cannot be read ({error.strerror}).", file=text
                ) from error
        return found

    def path(self, artifact: Artifact) -> Path:
        """Where an artifact's bytes lie on this machine."""
        return self.path_of(artifact.uri)

    def path_of(self, uri: str) -> Path:
        """Where the bytes of a path or URL lie on this machine, if they are there."""
        return self._fetched(uri) if "://" in uri else self.project.root / uri

    def keep(self, item: BoundStage, artifacts: Mapping[str, Artifact]) -> None:
        """Copy a stage's files into the store, except large ones and those with ``keep: false``."""
        for name in item.files:
            if self.keeps(item, artifacts[name]) and not self.store.holds(artifacts[name]):
                self.store.keep(self.path(artifacts[name]))

    def keeps(self, item: BoundStage, artifact: Artifact) -> bool:
        """Whether an input from outside the pipeline is to be kept."""
        return item.stage.keep.get(artifact.name, True) and artifact.size <= self.project.settings.keep_max

    def _fetched(self, url: str) -> Path:
        name = url.rstrip("/").rsplit("/", 1)[-1].split("?")[0] or "data"
        return self.project.data / "inputs" / sha256_bytes(url.encode())[:16] / name

    def fetch(self, url: str) -> Path:
        """Bring a URL's file here, unless the one that is here has not changed there."""
        import fsspec

        path = self._fetched(url)
        try:
            files, remote = fsspec.core.url_to_fs(url)
            state = _state(files, remote)
            if state and path.exists() and self.index.recall(f"url {url}") == state:
                return path
            with written_whole(path) as part:
                files.get_file(remote, str(part))
        except (OSError, ImportError, ValueError, NotImplementedError) as error:
            raise ArtifactError(f"cannot be fetched: {error}.", file=url) from error
        self.index.remember(f"url {url}", state)
        return path


def _state(files: AbstractFileSystem, remote: str) -> str:
    """What changes when the file at a URL does; empty where a server tells nothing of the kind."""
    protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
    if protocols.isdisjoint({"http", "https"}):
        return str(files.ukey(remote))
    info = files.info(remote)  # its ukey takes files on the web for unchanging
    said = {name: info[name] for name in VALIDATORS if info.get(name)}
    return json.dumps({**said, "size": info.get("size")}) if said else ""


def _as_input(name: str, artifact: Artifact) -> Artifact:
    return Artifact.from_dict({**artifact.to_dict(), "name": name, "role": "input"})
