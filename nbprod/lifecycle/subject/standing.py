"""How everything that a project knows stands to some subjects: data, models, stages and versions.

Bytes hold them if their index says so. What was made from such bytes and has no column of subjects is derived from
them: rows may have come along without their ID, so it counts as affected. What cannot be told is unknown, never clean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from nbprod.config import DATA
from nbprod.entities import INCREMENTAL, Artifact, ModelVersion
from nbprod.evidence.lineage import MADE, READ, Graph, data_id, version_id
from nbprod.evidence.subjects import NOBODY
from nbprod.lifecycle.subject.indexing import Dataset, Found, Indexes, Question
from nbprod.lifecycle.updating import PARENTS

State = Literal["holds", "derived", "unknown", "absent"]
WORST: tuple[State, ...] = ("holds", "derived", "unknown", "absent")
Known = TypeVar("Known")
KEPT = f"{DATA}/{PARENTS}/"
AFFECTED = frozenset({"holds", "derived"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one thing stands to the subjects.

    Attributes:
        why: why it is unknown, as the end of a sentence that begins with the thing.
    """

    state: State
    why: str = ""

    @property
    def affected(self) -> bool:
        """Whether it holds a subject's data, or may, because it was made from them."""
        return self.state in AFFECTED


ABSENT = Standing(state="absent")


@dataclass(frozen=True, kw_only=True)
class Standings:
    """Asks the indexes, and follows the graph where they are silent.

    Attributes:
        said: sha256 -> what cards say identifies a subject in these bytes; None for "there is no card".
        places: uri -> sha256 of what is there now.
    """

    graph: Graph
    indexes: Indexes
    question: Question
    said: Mapping[str, frozenset[str | None]]
    places: Mapping[str, str]
    versions: tuple[ModelVersion, ...]
    _known: dict[str, Standing] = field(default_factory=dict)
    _columns: dict[str, frozenset[str]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _cut: set[str] = field(default_factory=set)

    def asking(self, question: Question) -> Standings:
        """The same about other subjects; indexes that are open stay so."""
        return Standings(
            graph=self.graph,
            indexes=self.indexes,
            question=question,
            said=self.said,
            places=self.places,
            versions=self.versions,
            _columns=self._columns,
        )

    def of_data(self, sha256: str) -> Standing:
        """How some bytes stand, be they data or a model."""
        return self._once(self._known, data_id(sha256), ABSENT, lambda: self._of_data(sha256))

    def _once(self, known: dict[str, Known], id: str, nothing: Known, find: Callable[[], Known]) -> Known:
        """What is known already, or is found now; ``nothing`` for a thing that is being looked at.

        Bytes may come of themselves, as when a stage gives back what it read. What was found below such a place, before
        all of it was known, is not remembered.
        """
        if id in known:
            return known[id]
        name = f"{'standing' if nothing is ABSENT else 'columns'} {id}"
        if name in self._open:
            self._cut.add(name)
            return nothing
        self._open.add(name)
        try:
            found = find()
        finally:
            self._open.discard(name)
        self._cut.discard(name)
        if not self._cut:
            known[id] = found
        return found

    def _of_data(self, sha256: str) -> Standing:
        makers = self.makers(sha256)
        if not makers or self.named(sha256):
            return self._outside(sha256)
        made = self._made(sha256, worst(self.of_stage(stage) for stage in makers))
        return worst([made, self._outside(sha256)]) if sha256 in self.places.values() else made

    def _made(self, sha256: str, above: Standing) -> Standing:
        """How something stands that stages made.

        Args:
            above: how they stand.
        """
        columns = self.columns(sha256)
        if self.graph.by_id[data_id(sha256)].kind == "model" or not columns or above.state == "absent":
            return _derived(above)
        found = self._asked(sha256, columns, "any")
        if found.answer == "holds":
            return Standing(state="holds")
        if found.answer == "absent" and not (found.missing and above.affected):
            return ABSENT if above.affected else above
        return _derived(above)

    def _outside(self, sha256: str) -> Standing:
        parent = _copied(self, sha256)
        if parent is not None:
            return self.of_version(parent)
        said = self.said.get(sha256, frozenset())
        if columns := self.named(sha256):
            found = self._asked(sha256, columns, "all" if len(columns) == 1 else "any")
            if found.answer in ("holds", "absent"):
                return Standing(state="holds" if found.answer == "holds" else "absent")
            return Standing(state="unknown", why=found.why or "has no column that its card names.")
        if NOBODY in said:
            return ABSENT
        if "" in said:
            why = "has a card that names no subject: add `subject: COLUMN`, or `subject: none`."
            return Standing(state="unknown", why=why)
        return Standing(state="unknown", why="has no card: write one with `subject: COLUMN`, or `subject: none`.")

    def _asked(self, sha256: str, columns: Iterable[str], needed: Literal["all", "any"]) -> Found:
        dataset = Dataset(artifact=self.artifact(sha256), columns=tuple(sorted(columns)), needed=needed)
        return self.indexes.ask(dataset, self.question)

    def named(self, sha256: str) -> frozenset[str]:
        """The columns that cards of these very bytes name."""
        return frozenset(column for column in self.said.get(sha256, ()) if column and column != NOBODY)

    def columns(self, sha256: str) -> frozenset[str]:
        """The columns that cards of these bytes name, or of anything that they were made from."""

        def find() -> frozenset[str]:
            above = (self.columns(read) for stage in self.makers(sha256) for read in self.read_by(stage))
            return self.named(sha256).union(*above)

        return self._once(self._columns, data_id(sha256), frozenset(), find)

    def makers(self, sha256: str) -> list[str]:
        """The executions of stages that made some bytes."""
        return [edge.source for edge in self.graph.above.get(data_id(sha256), ()) if edge.relation == MADE]

    def read_by(self, stage: str) -> Iterator[str]:
        """The digests of what a stage of the graph read."""
        for edge in self.graph.above.get(stage, ()):
            if edge.relation == READ:
                yield str(self.graph.by_id[edge.source].facts["sha256"])

    def of_stage(self, id: str) -> Standing:
        """How an execution of a stage stands: as the worst of what it read."""
        read = list(self.read_by(id))
        if not read:
            return Standing(state="unknown", why="was made by a stage that names no input, so nobody knows from what.")
        return worst(self.of_data(sha256) for sha256 in read)

    def of_version(self, version: ModelVersion) -> Standing:
        """How a version stands: as the worst of its data, also of those whose rows were left out by a sample."""
        return self._once(self._known, version_id(version), ABSENT, lambda: self._of_version(version))

    def _of_version(self, version: ModelVersion) -> Standing:
        if not version.entry:
            return Standing(state="unknown", why="was not registered by nbprod, or its entry cannot be read.")
        inputs = version.entry["inputs"]
        if not inputs:
            return Standing(state="unknown", why="names no data that it was made from.")
        found = [self.of_data(item["sha256"]) for item in inputs]
        parent = version.entry.get("parent")
        if parent and parent["relation"] == INCREMENTAL:
            known = next((other for other in self.versions if other.digest == parent["digest"]), None)
            lost = Standing(state="unknown", why="goes on from a version that is not in this registry.")
            found.append(lost if known is None else self.of_version(known))
        return _derived(worst(found))

    def artifact(self, sha256: str) -> Artifact:
        """Some bytes, at the place where they are now if there is one."""
        node = self.graph.by_id.get(data_id(sha256))
        facts = {} if node is None else node.facts
        here = [uri for uri, found in self.places.items() if found == sha256]
        uris = [*here, *facts.get("uris", ()), facts.get("name", sha256[:12])]
        kind: Literal["file", "folder"] = "folder" if facts.get("kind") == "folder" else "file"
        if here and (self.indexes.work.project.root / here[0]).is_dir():
            kind = "folder"
        return Artifact(name=uris[0], uri=uris[0], sha256=sha256, size=int(facts.get("bytes") or 0), kind=kind)


def _copied(standings: Standings, sha256: str) -> ModelVersion | None:
    """The version of which some bytes are the copy that an update went on from."""
    node = standings.graph.by_id.get(data_id(sha256))
    uris = () if node is None else node.facts.get("uris", ())
    digests = {uri.removeprefix(KEPT).partition("/")[0] for uri in uris if uri.startswith(KEPT)}
    return next((version for version in standings.versions if version.digest in digests), None)


def worst(standings: Iterable[Standing]) -> Standing:
    """Of several the worst, with its reason."""
    return min(standings, key=lambda standing: WORST.index(standing.state), default=ABSENT)


def _derived(above: Standing) -> Standing:
    """How something stands that was made from others."""
    return Standing(state="derived") if above.affected else above
