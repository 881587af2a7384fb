"""Find model versions: in the index where that is enough, else in the registry."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod.entities import Artifact, Fact, ModelVersion, Run
from nbprod.errors import ArtifactError, NbprodError, RegistryError, UsageError, nearest
from nbprod.evidence.entry import digest, validate
from nbprod.evidence.folder import ENTRY
from nbprod.lifecycle.workspace import Workspace, complete, open_existing
from nbprod.pipeline.folders import lock_path
from nbprod.registry import Registry, choose, parse_ref
from nbprod.registry.database import PREFIX, local_aliases, local_path


def models() -> tuple[ModelVersion, ...]:
    """All versions of all models, newest first within a name, with their aliases."""
    with open_existing() as work:
        return known_versions(work)


def known_versions(work: Workspace) -> tuple[ModelVersion, ...]:
    """All versions of all models, with their entries and aliases; one whose entry is damaged, or not ours, has none."""
    return _local(work, None) or _remote(work)


def find_version(text: str, work: Workspace) -> ModelVersion:
    """The version that a reference means, with its entry.

    Raises:
        UsageError: it is no reference, or there is no such version; with the nearest that there is.
        ArtifactError: the version's entry is damaged.
    """
    ref = parse_ref(text)
    known = _local(work, ref.name)
    if known:
        try:
            return choose(ref, known)
        except UsageError:
            if ref.alias:  # aliases were read from the registry itself
                raise
    found = _remote(work)
    own = [version for version in found if version.name == ref.name]
    if not own:
        names = {version.name for version in found}
        raise UsageError(f"there is no model '{ref.name}'.{nearest(ref.name, names) or ' None is registered yet.'}")
    chosen = choose(ref, own)
    if not chosen.entry and chosen.digest:
        from nbprod.lifecycle.services import open_registry

        with open_registry(work.project) as registry:
            chosen = replace(chosen, entry=entry_of(registry, chosen))
    if not chosen.entry:
        raise RegistryError(f"{chosen.ref} was not registered by nbprod, so it has no entry: see it in MLflow's UI.")
    return chosen


def outlines(work: Workspace) -> tuple[ModelVersion, ...]:
    """All versions with their aliases, and with what lineage needs of their entries (see `Index.outlines`).

    One that has no entry that can be read is there without.
    """
    uri = work.project.registry_uri()
    aliases = _indexed_aliases(work)
    if aliases is not None:
        return _pointed_at(work.index.outlines(uri), aliases)
    found = _remote(work)
    known = {version.ref: version.entry for version in work.index.outlines(uri)}
    return tuple(replace(version, entry=known.get(version.ref, {}) if version.entry else {}) for version in found)


def _local(work: Workspace, name: str | None) -> tuple[ModelVersion, ...]:
    """What the index knows, with aliases read from a local registry's file.

    Nothing where the registry must be asked.
    """
    aliases = _indexed_aliases(work)
    if aliases is None:
        return ()
    return _pointed_at(work.index.versions(work.project.registry_uri(), name), aliases)


def _indexed_aliases(work: Workspace) -> Mapping[str, Mapping[str, str]] | None:
    """Model -> alias -> version, from a local registry's file; None where the registry must be asked for all."""
    uri = work.project.registry_uri()
    path = local_path(uri)
    if path is None or work.index.recall(complete(uri)) is None:
        return None
    return local_aliases(path)


def _pointed_at(versions: Iterable[ModelVersion], aliases: Mapping[str, Mapping[str, str]]) -> tuple[ModelVersion, ...]:
    """Versions with what points at them."""
    found = []
    for version in versions:
        own = aliases.get(version.name, {})
        pointing = sorted(alias for alias, number in own.items() if number == version.version)
        found.append(replace(version, aliases=tuple(pointing)))
    return tuple(found)


def _remote(work: Workspace) -> tuple[ModelVersion, ...]:
    """What the registry says, with the entries that the index knows."""
    uri = work.project.registry_uri()
    path = local_path(uri)
    if path is not None and not path.is_file():
        return ()
    from nbprod.lifecycle.services import open_registry

    with open_registry(work.project) as registry:
        found = registry.versions()
        known = {(version.name, version.version): version.entry for version in work.index.versions(uri)}
        whole = []
        for version in found:
            try:
                entry = known.get((version.name, version.version)) or entry_of(registry, version)
            except NbprodError:
                entry = {}  # one damaged version does not hide the others; asking for it tells
            whole.append(replace(version, entry=entry))
            if entry:
                work.index.save_version(uri, whole[-1])
    work.index.remember(complete(uri), "yes")
    return tuple(whole)


def entry_of(registry: Registry, version: ModelVersion) -> dict[str, Any]:
    """A version's entry, brought from the registry; empty for one that nbprod did not register.

    Raises:
        ArtifactError: it is damaged, or not the one that was registered.
    """
    if not version.digest:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = registry.download(version.name, version.version, folder, ENTRY)
        entry = validate(json.loads(Path(file).read_text(encoding="utf-8")))
    if digest(entry) != version.digest:
        raise ArtifactError(f"the entry of {version.ref} is not the one that was registered: its digest differs.")
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A version, and what plain MLflow needs to score it.

    Attributes:
        tracking_uri: what ``MLFLOW_TRACKING_URI`` must be; empty if it is so already.
        example: the file of rows in MLflow's form; empty if it is not on this machine.
    """

    version: ModelVersion
    tracking_uri: str
    example: str


def show(text: str) -> Shown:
    """The version that a reference means."""
    with open_existing() as work:
        version = find_version(text, work)
        root, uri = work.project.root, work.project.registry_uri()
        path = local_path(uri)
        if path is not None and root == Path.cwd():
            uri = f"{PREFIX}{work.project.relative(path)}"
        known = os.environ.get("MLFLOW_TRACKING_URI") in (uri, work.project.registry_uri())
        example = _example_file(version.entry, work.project.runs)
        return Shown(version=version, tracking_uri="" if known else uri, example=_from_here(example))


def _example_file(entry: dict[str, Any], runs: Path) -> Path | None:
    """The example as the run left it, where MLflow wrote it for its own commands."""
    made = next(stage for stage in entry["run"]["stages"] if stage["name"] == entry["model"]["stage"])
    places = [runs / made["run"] / made["name"] / name / "serving_input_example.json" for name in made["outputs"]]
    found = [place for place in places if place.is_file()]
    return found[0] if len(found) == 1 else None


def _from_here(path: Path | None) -> str:
    """A path as a person would type it."""
    if path is None:
        return ""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched(Fact):
    """A dataset that was given back."""

    name: str
    path: str
    sha256: str
    bytes: int


def fetch(text: str, dataset: str | None, target: Path) -> tuple[ModelVersion, tuple[Fetched, ...]]:
    """Write the exact bytes of a version's datasets under ``target``.

    Args:
        dataset: its name or role; None for every dataset that was kept.

    Raises:
        ArtifactError: it was not kept, or the store has lost it.
    """
    with open_existing() as work:
        version = find_version(text, work)
        inputs = version.entry["inputs"]
        chosen = (
            [i for i in inputs if dataset in (i["name"], i["role"])] if dataset else [i for i in inputs if i["kept"]]
        )
        if not chosen and dataset:
            known = {name for i in inputs for name in (i["name"], i["role"])}
            raise UsageError(f"{version.ref} has no dataset '{dataset}'.{nearest(dataset, known)}")
        return version, tuple(_give_back(work, item, target) for item in chosen)


def _give_back(work: Workspace, item: dict[str, Any], target: Path) -> Fetched:
    if not item["kept"]:
        raise ArtifactError(
            f"'{item['name']}' was not kept: get it from {item['uri']} and compare its sha256, {item['sha256']}."
        )
    place = target / item["uri"].rstrip("/").rsplit("/", 1)[-1]
    if place.exists():
        raise UsageError("is there already: move it away, or name another folder with --to.", file=str(place))
    artifact = Artifact(
        name=item["name"], uri=item["uri"], sha256=item["sha256"], size=item["bytes"], kind=item["kind"]
    )
    work.store.place(artifact, place)
    return Fetched(name=item["name"], path=str(place), sha256=item["sha256"], bytes=item["bytes"])


def runs(limit: int) -> tuple[Run, ...]:
    """Runs, newest first; one whose process is gone is told as interrupted."""
    with open_existing() as work:
        found = work.index.runs(limit)
        return tuple(_settled(work, run) for run in found)


def _settled(work: Workspace, run: Run) -> Run:
    if run.status != "running":
        return run
    from filelock import FileLock, Timeout

    path = lock_path(work.project, run.id)
    try:
        with FileLock(path, timeout=0):
            pass
    except Timeout:
        return run
    path.unlink(missing_ok=True)
    ended = replace(run, status="interrupted")
    work.index.save_run(ended)
    return ended
