"""Give a stage the version that it goes on from: that version's folder, and rows of what it was trained on."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbprod.config import DATA
from nbprod.entities import INCREMENTAL, ModelVersion, Pipeline
from nbprod.errors import ArtifactError
from nbprod.lifecycle.sources import Bytes, check_bytes
from nbprod.lifecycle.versions import known_versions
from nbprod.lifecycle.workspace import Workspace
from nbprod.pipeline.bind import Setting
from nbprod.retraining.chain import RETRAIN, chain_of
from nbprod.retraining.update import REPLAY, UpdatePolicy, given_of, read_update
from nbprod.store import remove, written_whole

if TYPE_CHECKING:
    from nbprod.registry import Registry

PARENTS = "parents"
"""Folder under ``.nbprod`` of the versions that stages go on from, each under its entry's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A pipeline whose stage was given what it goes on from.

    Attributes:
        parent: what the entry says of it; None where there is no such version.
        hidden: (stage, parameter) of what is no dataset.
    """

    pipeline: Pipeline
    parent: dict[str, Any] | None = None
    hidden: frozenset[tuple[str, str]] = frozenset()


def policy_of(pipeline: Pipeline) -> UpdatePolicy | None:
    """What the pipeline says under ``update``; PipelineError if that is wrong."""
    taken = {stage.name: {**stage.params, **stage.inputs, **stage.outputs} for stage in pipeline.stages}
    section = pipeline.sections.get("update")
    return read_update(section, taken, file=pipeline.path or None, text=pipeline.text)


def without_parent(pipeline: Pipeline) -> Pipeline:
    """The pipeline as it runs where there is nothing to go on from; PipelineError if its section is wrong."""
    update = policy_of(pipeline)
    return pipeline if update is None else _with(pipeline, update, values=dict.fromkeys(_names(update)))


def _names(update: UpdatePolicy) -> tuple[str, ...]:
    return (update.param, REPLAY) if update.replay else (update.param,)


def give_parent(
    pipeline: Pipeline, work: Workspace, settings: Iterable[Setting], *, retrained: str = "", onward: str = ""
) -> Given:
    """Set the parameters that the pipeline's ``update`` names.

    One that a setting gives is left to it: so a recorded recipe runs again from the recorded parent. Where the version
    learned from a subject who is erased, what it went on from before that is given.

    Args:
        retrained: digest of the entry of the version that is retrained; empty for none.
        onward: digest of the entry of the version to go on from; empty for the one that the alias points at.

    Raises:
        PipelineError: the section is wrong.
        ArtifactError: the parent is not what was registered.
    """
    update = policy_of(pipeline)
    if update is None or pipeline.model is None:
        return Given(pipeline=pipeline, parent={"relation": RETRAIN, "digest": retrained} if retrained else None)
    both = _names(update)
    hidden = frozenset({(update.stage, update.param)})
    told = {name: s.value for s in settings for name in both if s.name in (name, f"{update.stage}.{name}")}
    if update.param in told:
        paths = {name: str(value) for name, value in told.items() if value is not None}
        parent = _told(work, told[update.param])
        return Given(pipeline=_with(pipeline, update, paths=paths), parent=parent, hidden=hidden)
    version = _sound(work, pipeline.model.name, update.alias, onward)
    if version is None:
        anew = {"relation": RETRAIN, "digest": retrained} if retrained else None
        return Given(pipeline=_with(pipeline, update, values=dict.fromkeys(both)), parent=anew, hidden=hidden)
    paths = {update.param: _folder(work, version)}
    values: dict[str, None] = {}
    if update.replay:
        from nbprod.lifecycle.replaying import reservoir

        chain = chain_of(version, known_versions(work))
        rows = reservoir(work, chain, rows=update.replay)
        paths |= {} if rows is None else {REPLAY: rows}
        values |= {REPLAY: None} if rows is None else {}
    parent = {"relation": INCREMENTAL, "digest": version.digest}
    return Given(pipeline=_with(pipeline, update, paths=paths, values=values), parent=parent, hidden=hidden)


def _told(work: Workspace, told: Any) -> dict[str, Any] | None:
    """The parent that a setting names by the folder that nbprod keeps of it."""
    name = Path(str(told)).name
    known = {version.digest for version in known_versions(work)} if told is not None else set()
    return {"relation": INCREMENTAL, "digest": name} if name in known else None


def _sound(work: Workspace, name: str, alias: str, onward: str) -> ModelVersion | None:
    """The version to go on from: one that learned from nobody who is erased, and comes from no such one."""
    if onward:
        return next((item for item in known_versions(work) if item.digest == onward), None)
    version = aliased(work, name, alias)
    if version is None:
        return None
    from nbprod.lifecycle.subject.learned import rebuild_of

    again = rebuild_of(work, version)
    if again is None:
        return version
    return next((item for item in known_versions(work) if item.ref == again.start), None)


def aliased(work: Workspace, name: str, alias: str) -> ModelVersion | None:
    """The version of a model that an alias points at; None where there is none, which is no error here."""
    own = (version for version in known_versions(work) if version.name == name and alias in version.aliases)
    return next(own, None)


def _with(
    pipeline: Pipeline,
    update: UpdatePolicy,
    *,
    paths: dict[str, str] | None = None,
    values: dict[str, None] | None = None,
) -> Pipeline:
    """The pipeline with inputs and parameters of one stage added."""
    stages = tuple(
        replace(stage, inputs={**stage.inputs, **(paths or {})}, params={**stage.params, **(values or {})})
        if stage.name == update.stage
        else stage
        for stage in pipeline.stages
    )
    return replace(pipeline, stages=stages)


def _folder(work: Workspace, version: ModelVersion) -> str:
    """Where the version's folder is, from the project's root; it is brought and verified if it is not there yet."""
    place = work.project.data / PARENTS / version.digest
    if not place.is_dir():
        from nbprod.lifecycle.services import open_registry

        with open_registry(work.project) as registry:
            bring(work, registry, version, place)
    return f"{DATA}/{PARENTS}/{version.digest}"


def bring(work: Workspace, registry: Registry, version: ModelVersion, place: Path) -> None:
    """Put a version's registered folder at a place, verified; nothing happens if it is there.

    Raises:
        ArtifactError: it is not what was registered.
    """
    if place.is_dir():
        return
    check_bytes(work, registry, version)
    with ExitStack() as stack:
        folder = Bytes(work=work, registry=registry, stack=stack).folder(version)
        try:
            with written_whole(place) as part:
                # MLflow adds this file to whatever it brings; the digest must not depend on who brought it.
                shutil.copytree(folder, part, ignore=shutil.ignore_patterns("registered_model_meta"))
        except OSError:
            if not place.is_dir():  # else another process was faster
                raise


def again_from(work: Workspace, registry: Registry, version: ModelVersion) -> dict[str, Any]:
    """What must be set so that a version that went on from another does so again: ``stage.parameter`` -> folder.

    Raises:
        ArtifactError: its parent is not in this registry any more.
    """
    parent = version.entry.get("parent")
    section = version.entry["pipeline"]["sections"].get("update")
    if not section:
        return {}
    name, _ = given_of(section)
    if not parent or parent["relation"] != INCREMENTAL:
        return {name: None}
    known = {item.digest: item for item in known_versions(work)}
    if parent["digest"] not in known:
        raise ArtifactError("the version that it goes on from is not in this registry: nbprod import it first.")
    place = work.project.data / PARENTS / parent["digest"]
    bring(work, registry, known[parent["digest"]], place)
    return {name: str(place.resolve())}


def forget_parents(work: Workspace) -> bool:
    """Remove what was brought; it comes again when it is needed, as after an erasure. Whether anything was there."""
    return remove(work.project.data / PARENTS)
