"""The subject indexes of a project: made when data are hashed, and from kept bytes where one is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbprod.entities import Artifact, Run
from nbprod.errors import ArtifactError, PipelineError
from nbprod.evidence.card import card_path, read_card
from nbprod.evidence.data import shape_of
from nbprod.evidence.subject_column import NoSuchColumn, subjects_in
from nbprod.evidence.subjects import NOBODY, SubjectIndex, make_index, read_index, write_index
from nbprod.lifecycle.workspace import Workspace
from nbprod.trust.subject_keys import SubjectKey, SubjectKeys

if TYPE_CHECKING:
    from nbprod.lifecycle.plan import Bound

Answer = Literal["holds", "absent", "nameless", "unknown"]
"""``nameless`` are data that have no column of subjects, though what they were made from has one."""

Question = Mapping[str, frozenset[bytes]]
"""Subject key's id -> tokens that were made with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Data that may hold subjects.

    Attributes:
        artifact: its ``uri`` is where it was read, or one of the places.
        columns: those that identify a subject.
        needed: whether every column must be there; those of data that a stage made need not be.
    """

    artifact: Artifact
    columns: tuple[str, ...]
    needed: Literal["all", "any"] = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an index says.

    Attributes:
        why: why it is unknown, as the end of a sentence that begins with the dataset.
        lacking: id of the subject key that is not here; empty if that is not why.
        missing: rows that name no subject.
    """

    answer: Answer
    why: str = ""
    lacking: str = ""
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """Makes, keeps and asks the indexes of a project."""

    work: Workspace
    keys: SubjectKeys = field(default_factory=SubjectKeys)
    opened: dict[tuple[str, str, tuple[str, ...]], SubjectIndex | str | None] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.work.project.data / "subjects"

    def ask(self, dataset: Dataset, question: Question) -> Found:
        """Whether a dataset holds any of some subjects; a key that is not here, or bytes that are gone, are unknown."""
        known = {key.id: key for key in self.keys.all()}
        unknown: list[Found] = []
        missing = 0
        for id, tokens in question.items():
            if id not in known:
                why = f"is asked for with the subject key {id}, which is not in {self.keys.folder}"
                unknown.append(Found(answer="unknown", why=why, lacking=id))
                continue
            index = self.index(dataset, known[id])
            if isinstance(index, str):
                unknown.append(Found(answer="unknown", why=index))
            elif index is None:
                return Found(answer="nameless")
            elif any(index.holds(token) for token in tokens):
                return Found(answer="holds", missing=index.head.missing)
            else:
                missing = index.head.missing
        return unknown[0] if unknown else Found(answer="absent", missing=missing)

    def index(self, dataset: Dataset, key: SubjectKey) -> SubjectIndex | str | None:
        """The index of a dataset, which is made if there is none; or why there is none; None if it is nameless."""
        name = (dataset.artifact.sha256, key.id, dataset.columns)
        if name not in self.opened:
            try:
                self.opened[name] = self.ensure(dataset, key)
            except NoSuchColumn as error:
                self.opened[name] = None if dataset.needed == "any" else error.message
            except ArtifactError as error:
                self.opened[name] = error.message
        return self.opened[name]

    def ensure(self, dataset: Dataset, key: SubjectKey) -> SubjectIndex:
        """The index of a dataset; it is made if there is none, or one that is damaged.

        Raises:
            NoSuchColumn: the data have no such column.
            ArtifactError: they are no table, or there is neither an index nor the bytes to make one.
        """
        sha256 = dataset.artifact.sha256
        damaged: ArtifactError | None = None
        index: SubjectIndex | None = None
        try:
            index = read_index(self.folder, sha256, key)
            if index is not None and index.head.looked_for == dataset.columns:
                return index
        except ArtifactError as error:
            damaged = error
        with self.bytes_of(dataset.artifact) as path:
            if path is None:
                if index is not None and _covers(index, dataset):
                    return index
                raise damaged or ArtifactError("has no subject index, and its bytes are no longer there.")
            return self.make(path, dataset, key)

    def make(self, path: Path, dataset: Dataset, key: SubjectKey) -> SubjectIndex:
        """Read a dataset's subjects and write its index.

        Raises:
            ArtifactError: it is no table, or has no such column.
        """
        columns = dataset.columns
        if dataset.needed == "any":
            columns = tuple(sorted(set(columns) & set(shape_of(path).columns or ())))
            if not columns:
                raise NoSuchColumn("names no subjects.")
        found = subjects_in(path, columns)
        sha256 = dataset.artifact.sha256
        index = make_index(found, key, dataset=sha256, columns=columns, looked_for=dataset.columns)
        write_index(self.folder, index)
        return index

    @contextmanager
    def bytes_of(self, artifact: Artifact) -> Iterator[Path | None]:
        """Where a dataset's bytes are: in their place if they are unchanged, else brought from the store, else None."""
        store = self.work.store
        place = self.work.inputs.path(artifact)
        if place.exists() and store.measure(place)[0] == artifact.sha256:
            yield place
        elif store.holds(artifact):
            with tempfile.TemporaryDirectory(prefix="nbprod-") as scratch:
                target = Path(scratch, place.name)
                store.place(artifact, target)
                yield target
        else:
            yield None


def _covers(index: SubjectIndex, dataset: Dataset) -> bool:
    """Whether an index answers for a dataset whose bytes are gone, though it was made when other columns counted."""
    if dataset.needed == "any" and set(index.head.columns) <= set(dataset.columns):
        return True
    return set(dataset.columns) <= set(index.head.columns)


def subject_of(path: Path, *, label: str) -> str | None:
    """What a card says identifies a subject: a column, ``none``, or empty if it says nothing; None without a card.

    Raises:
        PipelineError: the card is not one.
    """
    card = read_card(path, label=label)
    return None if card is None else NOBODY if card.subject.casefold() == NOBODY else card.subject


def declared(work: Workspace, texts: Iterable[str]) -> Iterator[tuple[str, Path, Dataset]]:
    """The inputs whose cards name a subject column, each measured and indexed: text, path, dataset.

    Args:
        texts: paths as a pipeline names them; URLs have no cards.

    Raises:
        PipelineError: there is no such column.
    """
    indexes = Indexes(work=work)
    for text in dict.fromkeys(text for text in texts if "://" not in text):
        path = work.project.root / text
        if not path.exists() or not (column := subject_of(path, label=text)) or column == NOBODY:
            continue
        artifact = work.store.artifact(path, name=path.name, uri=text, role="input")
        dataset = Dataset(artifact=artifact, columns=(column,))
        try:
            indexes.ensure(dataset, indexes.keys.own())
        except NoSuchColumn as error:
            raise PipelineError(
                f"subject is '{column}', but the data file {error.message}", file=card_path(Path(text)).as_posix()
            ) from error
        except ArtifactError:
            pass  # unknown: whoever asks is told
        yield text, path, dataset


def index_outputs(work: Workspace, bound: Bound, run: Run) -> None:
    """Index what stages made of data with subjects, where it still has their columns; what has not is derived."""
    named = {
        text: item.columns for text, _, item in declared(work, (t for s in bound.stages for t in s.files.values()))
    }
    results = {stage.stage: stage for stage in run.stages}
    indexes = Indexes(work=work)
    columns: dict[str, frozenset[str]] = {}
    for item in bound.stages if named else ():
        above = (columns.get(stage, frozenset()) for stage, _ in item.sources.values())
        columns[item.name] = frozenset().union(*above, *(named.get(text, ()) for text in item.files.values()))
        for artifact in results[item.name].outputs.values() if item.name in results else ():
            if artifact.role == "output" and columns[item.name]:
                wanted = tuple(sorted(columns[item.name]))
                indexes.index(Dataset(artifact=artifact, columns=wanted, needed="any"), indexes.keys.own())
