"""Make a registry entry out of a run: prove the model, gather the evidence, register the folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbprod import flavors
from nbprod.digest import sha256_file
from nbprod.entities import JSON, Artifact, Metric, ModelSpec, ModelVersion, Run, StageRun
from nbprod.errors import ArtifactError, NbprodError, nearest
from nbprod.evidence.entry import UNKNOWN, Evidence, InputEvidence, build, digest, notebooks_entry
from nbprod.evidence.environment import environment_entry, freeze_text, python_of
from nbprod.evidence.folder import assemble, model_files
from nbprod.evidence.source import GitState
from nbprod.evidence.statements import registration
from nbprod.lifecycle.attesting import attest
from nbprod.lifecycle.datasets import datasets_of
from nbprod.lifecycle.moving import current_user
from nbprod.lifecycle.notebooks import with_own_types
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.privacy import Publishable, publishable, published, without_outputs
from nbprod.lifecycle.profiling import profile_entry, reference_profile
from nbprod.lifecycle.services import Services
from nbprod.lifecycle.versions import entry_of
from nbprod.lifecycle.workspace import Workspace, complete
from nbprod.monitoring.policy import read_monitor
from nbprod.pipeline.bind import BoundStage
from nbprod.pipeline.repeats import base_name
from nbprod.registry import Registration, Registry
from nbprod.store import remove
from nbprod.trust.folder import sign_folder
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run whose model is to be registered.

    Attributes:
        tracking: id of the run in the registry's own records.
        keys: digest over the keys of its stages.
        measured: ``before_run``; ``after_run`` for a notebook that ran elsewhere.
    """

    spec: ModelSpec
    bound: Bound
    run: Run
    results: Mapping[str, StageRun]
    git: GitState
    tracking: str
    keys: str
    measured: str = "before_run"

    def stage(self, name: str) -> BoundStage:
        """A stage of the pipeline by its name."""
        return next(item for item in self.bound.stages if item.name == name)

    @property
    def model_stage(self) -> str:
        """The stage that made the model."""
        return self.spec.source.partition(".")[0]


def register_candidate(work: Workspace, services: Services, candidate: Candidate) -> tuple[ModelVersion, bool]:
    """Register a run's model.

    Returns:
        The version, and whether it is new: another process may have registered the same keys meanwhile.

    Raises:
        ArtifactError: the run left no such model, or it does not work outside the project.
        RegistryError: the registry refused.
    """
    artifact = model_artifact(candidate)
    folder = work.project.root / artifact.uri
    if not candidate.bound.pipeline.path:
        candidate = replace(candidate, spec=with_own_types(candidate.spec, folder))
    if services.replay is not None:
        services.replay.check(folder, candidate.spec.trusted)
    else:  # nobody expected a model, such as one that a module of the project logs
        flavors.replay(folder, trusted=candidate.spec.trusted)
    process = services.replay
    with publishable(
        work, candidate.bound, candidate.spec, candidate.results, model=folder, git=candidate.git, replay=process
    ) as shown:
        return _publish_once(work, services, candidate, shown=shown)


def _publish_once(
    work: Workspace, services: Services, candidate: Candidate, *, shown: Publishable
) -> tuple[ModelVersion, bool]:
    """Register, unless another process registered the same keys meanwhile."""
    from filelock import FileLock

    uri = work.project.registry_uri()
    evidence, files = gather(work, candidate, shown)
    policy = read_monitor(candidate.bound.pipeline.sections.get("monitor"))
    profile = reference_profile(
        work, candidate.spec, evidence.inputs, policy, model=shown.model, replay=services.replay
    )
    if profile is not None:
        files["profile.json"] = profile
        evidence = replace(evidence, profile=profile_entry(profile))
    entry = build(evidence)
    locks = work.project.data / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"register-{candidate.spec.name}.lock"):
        known = work.index.version_of_keys(uri, candidate.spec.name, candidate.keys)
        known = known or _in_registry(work, services, candidate)
        if known:
            return known, False
        return publish(work, services, candidate, folder=shown.model, entry=entry, files=files), True


def _in_registry(work: Workspace, services: Services, candidate: Candidate) -> ModelVersion | None:
    """A version made from the same keys that the index does not know: of somebody else, or after the index was lost.

    One whose entry cannot be read any more counts for none.
    """
    for version in services.registry.versions(candidate.spec.name):
        if version.keys == candidate.keys:
            with suppress(NbprodError):
                whole = replace(version, entry=entry_of(services.registry, version))
                work.index.save_version(work.project.registry_uri(), whole)
                return whole
    return None


def record_run(
    work: Workspace,
    services: Services,
    run: Run,
    git: GitState,
    *,
    bound: Bound,
    datasets: Iterable[InputEvidence] = (),
) -> str:
    """Record a run in the registry's own terms; returns the registry's id of it.

    Args:
        bound: the pipeline, or the notebook.
        datasets: what is known of those that were read.
    """
    source = bound.pipeline.path or bound.stages[0].stage.notebook
    tags = {"mlflow.source.name": source} if source else {}
    if git.commit != UNKNOWN:
        tags |= {"mlflow.source.git.commit": git.commit, "mlflow.source.git.branch": git.branch}
    known = {item.artifact.sha256: _profile(item) for item in datasets}
    with published(work, run, bound) as shown:
        return services.registry.record(shown, str(work.project.root), tags, known)


def _profile(item: InputEvidence) -> dict[str, JSON]:
    columns = item.shape.columns
    role = item.artifact.name if item.role == "input" else item.role  # the parameter's name says more than "input"
    return {"role": role, "rows": item.shape.rows, "columns": None if columns is None else len(columns)}


def publish(
    work: Workspace,
    services: Services,
    candidate: Candidate,
    *,
    folder: Path,
    entry: dict[str, Any],
    files: Mapping[str, Path | bytes],
) -> ModelVersion:
    """Put the folder together, register it, and say so in a statement and in the index."""
    name, entry_digest, keys = candidate.spec.name, digest(entry), Keys()
    target = work.project.data / "registering" / entry_digest
    try:
        assemble(folder, target, entry=entry, files=files)
        sign_folder(target, keys.own())
        made = services.registry.register(
            Registration(
                name=name,
                folder=str(target),
                digest=entry_digest,
                keys=candidate.keys,
                run=candidate.run.id,
                tracking=candidate.tracking,
                tags={"nbprod.commit": candidate.git.commit},
                description=candidate.spec.intended_use,
            )
        )
    finally:
        remove(target)
    shown = shown_registry(work.project.registry_uri())
    said = registration(made, registry=shown, key=keys.own().id, user=current_user())
    attest(services.registry, made, said, keys)
    version = replace(made, entry=entry)
    remember(work, services.registry, version)
    return version


def remember(work: Workspace, registry: Registry, version: ModelVersion) -> None:
    """Note a new version, with its entry, in the index."""
    uri = work.project.registry_uri()
    work.index.save_version(uri, version)
    if work.index.recall(complete(uri)) is None:
        known = {item.ref for item in work.index.versions(uri)}
        if {item.ref for item in registry.versions()} <= known:
            work.index.remember(complete(uri), "yes")


def shown_registry(uri: str) -> str:
    """The registry's URI without credentials, and without this machine's paths."""
    scheme, separator, rest = uri.partition("://")
    if scheme == "sqlite":
        return "sqlite"
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def model_artifact(candidate: Candidate) -> Artifact:
    """The model as the run left it."""
    stage, _, name = candidate.spec.source.partition(".")
    outputs = candidate.results[stage].outputs
    if name not in outputs:
        raise ArtifactError(
            f"stage '{stage}' ran well but left no model '{name}': log it with nbprod.log_model."
            f"{nearest(name, outputs)}",
            stage=stage,
        )
    return outputs[name]


def gather(work: Workspace, candidate: Candidate, shown: Publishable) -> tuple[Evidence, dict[str, Path | bytes]]:
    """Everything that the entry says, and the files that go beside it."""
    root, folder = work.project.root, shown.model
    stages = tuple(candidate.results[item.name] for item in candidate.bound.stages)
    kernel = candidate.stage(candidate.model_stage).kernel
    installed = kernel.freeze() if kernel.python else {}
    ours = candidate.measured == "before_run"
    sources = {item.name: sha256_file(item.source.path) for item in candidate.bound.stages if ours}
    in_keys: dict[str, str] = {}
    for stage in stages:
        in_keys.update(stage.parts.get("distributions", {}))
    files = _files(candidate, stages, shown, root=root)
    notebooks = notebooks_entry(stages, sources)
    if shown.personal:
        files, notebooks = without_outputs(files, notebooks)
    evidence = Evidence(
        spec=candidate.spec,
        pipeline=candidate.bound.pipeline,
        run=candidate.run,
        stages=stages,
        model={**flavors.describe(folder).to_dict(), "synthetic": shown.personal},
        files=model_files(folder),
        artifact=model_artifact(candidate),
        metrics=_metrics(candidate.spec, stages),
        repeats=[(base_name(item.name), candidate.results[item.name]) for item in candidate.bound.repeats],
        inputs=tuple(datasets_of(work, candidate.bound, candidate.spec, candidate.results, candidate.measured)),
        source={
            "git": shown.git.entry(),
            "measured": candidate.measured,
            "notebooks": notebooks,
            **({"outputs": "stripped"} if shown.personal else {}),
        },
        environment=environment_entry(
            python=_python(work, candidate), installed=installed, in_keys=in_keys, measured=candidate.measured
        ),
        seed=candidate.stage(candidate.model_stage).seed,
        parent=candidate.bound.parent,
    )
    files["freeze.txt"] = freeze_text(installed).encode()
    return evidence, files


def _files(
    candidate: Candidate, stages: tuple[StageRun, ...], shown: Publishable, *, root: Path
) -> dict[str, Path | bytes]:
    """The notebooks as executed and as written, the difference from the commit, and the pipeline's file."""
    files: dict[str, Path | bytes] = {}
    for item, stage in zip(candidate.bound.stages, stages, strict=True):
        if stage.executed:
            files[f"notebooks/{item.name}.ipynb"] = root / stage.executed.uri
        if candidate.measured == "before_run":
            files[f"source/{item.name}.ipynb"] = item.source.path
    if shown.git.diff:
        files["diff.patch"] = shown.git.diff
    if candidate.bound.pipeline.text:
        files["pipeline.yaml"] = candidate.bound.pipeline.text.encode()
    return files


def _python(work: Workspace, candidate: Candidate) -> str:
    """The version of the Python that made the model, as its kernel said it."""
    minor = candidate.stage(candidate.model_stage).kernel.minor
    executed = candidate.results[candidate.model_stage].executed
    if executed is None:
        return minor
    return python_of(json.loads((work.project.root / executed.uri).read_text(encoding="utf-8")), minor=minor)


def _metrics(spec: ModelSpec, stages: tuple[StageRun, ...]) -> tuple[Metric, ...]:
    chosen = [stage for stage in stages if not spec.metrics or stage.stage in spec.metrics]
    return tuple(metric for stage in chosen for metric in stage.metrics)
