"""``nbprod subject find``: where a subject's data are, and what learned from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbprod.config import RUNS
from nbprod.digest import members
from nbprod.entities import INCREMENTAL, Artifact, Fact, ModelVersion, Run, StageRun
from nbprod.errors import UsageError
from nbprod.evidence.lineage import data_id
from nbprod.evidence.subjects import canonical_subject
from nbprod.lifecycle.subject.indexing import Question
from nbprod.lifecycle.subject.logs import Log, ask_logs
from nbprod.lifecycle.subject.standing import Standing, Standings, State, worst
from nbprod.lifecycle.subject.survey import survey
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.trust.subject_keys import SubjectKeys

SCRATCH = f"{RUNS}/scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Fact):
    """Some bytes that hold a subject's data, or may.

    Attributes:
        role: ``data``, ``output``, ``model`` or ``notebook``.
        uri: where they are, or were.
        here: whether they are at that path now.
        kept: whether the store has a copy.
        roles: of which version they were what, such as ``churn/1 train``.
    """

    role: str
    uri: str
    sha256: str
    state: State
    here: bool
    kept: bool
    roles: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned(Fact):
    """A version that learned from a subject or was tested on them, or may have been.

    Attributes:
        how: the roles of the data that hold the subject, or ``derived``, or the parent that it goes on from.
        children: versions that say they come from it.
    """

    ref: str
    state: State
    how: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(Fact):
    """Everything that a project knows of some subjects.

    Attributes:
        tokens: of the subjects, with the own key; never an ID.
        places: bytes, wherever they are.
        stages: ``run/stage`` of executions that read such bytes.
        copies: paths in ``runs/`` with what such executions left, and of what was fetched.
        tracked: MLflow runs that such executions made by themselves, and that nbprod does not look into.
        uncertain: paths in ``runs/`` of executions of which nobody knows whether they read such bytes.
        logs: prediction logs.
        unknown: sentences about everything that cannot be told.
    """

    tokens: tuple[str, ...]
    places: tuple[Place, ...]
    stages: tuple[str, ...]
    copies: tuple[str, ...]
    uncertain: tuple[str, ...]
    tracked: tuple[str, ...]
    versions: tuple[Learned, ...]
    logs: tuple[Log, ...]
    unknown: tuple[str, ...]

    @property
    def aliases(self) -> tuple[str, ...]:
        """``name@alias`` of every alias that points at an affected version."""
        return tuple(
            f"{version.ref.partition('/')[0]}@{alias}"
            for version in self.versions
            if version.state in ("holds", "derived")
            for alias in version.aliases
        )


def find(ids: Sequence[str]) -> tuple[Trace, ...]:
    """What is known of each of some subjects.

    Raises:
        UsageError: an ID is empty, or there is no project.
    """
    subjects = canonical(ids)
    with open_existing() as work:
        SubjectKeys().own()
        everything = survey(work, {})
        return tuple(trace(work, everything.asking(question([id])), [id]) for id in subjects)


def canonical(ids: Iterable[str]) -> tuple[str, ...]:
    """IDs in their canonical form, each once.

    Raises:
        UsageError: one is empty, or there is none.
    """
    found = tuple(dict.fromkeys(canonical_subject(id) for id in ids))
    if not found or "" in found:
        raise UsageError("an ID is empty: give it as an argument, or one a line in --file or on standard input.")
    return found


def question(subjects: Iterable[str]) -> Question:
    """What to ask indexes about some subjects, whichever key they were made with."""
    ids = tuple(subjects)
    return {key.id: frozenset(map(key.token, ids)) for key in SubjectKeys().all()}


def trace(work: Workspace, standings: Standings, subjects: Sequence[str]) -> Trace:
    """Everything that is known of some subjects together.

    Args:
        subjects: IDs in canonical form.
    """
    runs = work.index.runs()
    places = (*_data(work, standings), *_notebooks(work, standings, runs))
    versions = tuple(_versions(standings))
    logs = tuple(ask_logs(work, standings.versions, subjects))
    began = [(run, stage, _of_run(standings, stage)) for run in runs for stage in run.stages]
    touched = [(run, stage) for run, stage, found in began if found.affected]
    doubtful = [(run, stage) for run, stage, found in began if found.state == "unknown"]
    unknown = (
        *(f"{place.uri} (sha256 {place.sha256[:12]}) {place.why}" for place in places if _tells(place)),
        *(f"{version.ref} {version.why}" for version in versions if version.state == "unknown" and version.why),
        *(f"the prediction log {log.path} {log.why}" for log in logs if log.state == "unknown"),
        *_scratch(work),
    )
    return Trace(
        tokens=tuple(SubjectKeys().own().token(id).hex() for id in subjects),
        places=tuple(place for place in places if place.state != "absent"),
        stages=tuple(sorted({f"{run.id}/{stage.stage}" for run, stage in touched})),
        copies=tuple(dict.fromkeys((*_left(work, touched), *_fetched(work, places)))),
        tracked=tuple(sorted({id for _, stage in touched for id in stage.tracked})),
        uncertain=tuple(dict.fromkeys(_left(work, doubtful))),
        versions=tuple(version for version in versions if version.state != "absent"),
        logs=logs,
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _tells(place: Place) -> bool:
    """Whether a place that is unknown is to be told by itself: what was made from it is unknown because of it."""
    return place.state == "unknown" and (place.role == "data" or not place.uri.startswith(f"{RUNS}/"))


def _data(work: Workspace, standings: Standings) -> Iterator[Place]:
    known = {str(node.facts["sha256"]): node.kind for node in standings.graph.nodes if node.kind in ("data", "model")}
    roles: dict[str, list[str]] = {}
    for version in standings.versions:
        for item in version.entry.get("inputs", ()):
            roles.setdefault(item["sha256"], []).append(f"{version.ref} {item['role']}")
    for sha256, kind in {**dict.fromkeys(standings.places.values(), "data"), **known}.items():
        found, artifact = standings.of_data(sha256), standings.artifact(sha256)
        unplaced = kind == "model" and not standings.graph.by_id[data_id(sha256)].facts.get("uris")
        if found.state != "absent" and not unplaced:  # a model without a place is the registered one
            outside = sha256 in standings.places.values() or not artifact.uri.startswith(f"{RUNS}/")
            role = "output" if kind == "data" and not outside else kind
            here = standings.places.get(artifact.uri) == sha256 or (
                artifact.uri.startswith(f"{RUNS}/") and (work.project.root / artifact.uri).exists()
            )
            yield _place(work, role, artifact, found, here=here, roles=roles.get(sha256, ()))


def _place(
    work: Workspace, role: str, artifact: Artifact, found: Standing, *, here: bool, roles: Sequence[str] = ()
) -> Place:
    return Place(
        role=role,
        uri=artifact.uri,
        sha256=artifact.sha256,
        state=found.state,
        here=here,
        kept=work.store.objects.has(artifact.sha256),
        roles=tuple(roles),
        why=found.why,
    )


def _notebooks(work: Workspace, standings: Standings, runs: Iterable[Run]) -> Iterator[Place]:
    """The executed notebooks, whose outputs may show rows."""
    seen = set()
    for stage in (stage for run in runs for stage in run.stages if stage.executed and stage.executed.sha256):
        assert stage.executed is not None
        found = _of_run(standings, stage)
        if found.affected and stage.executed.uri not in seen:
            seen.add(stage.executed.uri)
            here = (work.project.root / stage.executed.uri).exists()
            yield _place(work, "notebook", stage.executed, Standing(state="derived"), here=here)


def _of_run(standings: Standings, stage: StageRun) -> Standing:
    return worst(standings.of_data(artifact.sha256) for artifact in stage.inputs.values())


def _left(work: Workspace, touched: Iterable[tuple[Run, StageRun]]) -> Iterator[str]:
    """What executions left in the folder of their run, whatever became of them."""
    for run, stage in touched:
        for name in (stage.stage, f"{stage.stage}.ipynb"):
            path = work.project.runs / run.id / name
            if path.exists():
                yield work.project.relative(path)


def _fetched(work: Workspace, places: Iterable[Place]) -> Iterator[str]:
    """Copies of what was fetched from URLs."""
    for place in places:
        path = work.inputs.path_of(place.uri)
        if "://" in place.uri and place.here and place.state in ("holds", "derived") and path.exists():
            yield work.project.relative(path)


def _versions(standings: Standings) -> Iterator[Learned]:
    refs = {version.digest: version.ref for version in standings.versions if version.digest}
    for version in standings.versions:
        found = standings.of_version(version)
        parent = version.entry.get("parent")
        how = {
            "derived" if item["role"] == "input" else str(item["role"])
            for item in version.entry.get("inputs", ())
            if standings.of_data(item["sha256"]).affected
        }
        if found.affected and not how and parent and parent["relation"] == INCREMENTAL:
            how = {f"goes on from {refs.get(parent['digest'], parent['digest'][:12])}"}
        yield Learned(
            ref=version.ref,
            state=found.state,
            how=tuple(sorted(how)),
            aliases=version.aliases,
            children=tuple(_children(version, standings.versions)),
            why=found.why if not version.entry.get("inputs") else "",
        )


def _children(version: ModelVersion, versions: Iterable[ModelVersion]) -> Iterator[str]:
    for other in versions:
        if (parent := other.entry.get("parent")) and version.digest and parent["digest"] == version.digest:
            yield other.ref


def _scratch(work: Workspace) -> Iterator[str]:
    """What notebooks left that were run by hand: nobody knows from what."""
    folder = Path(work.project.root, SCRATCH)
    if folder.is_dir() and any(True for _ in members(folder)):
        yield f"{SCRATCH}/ holds what notebooks left that were run by hand: delete it when you need it no longer."
