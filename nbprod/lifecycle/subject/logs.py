"""The prediction logs of a project, and whether they hold subjects; without a column of theirs a log cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbprod.entities import Fact, ModelVersion
from nbprod.errors import NbprodError
from nbprod.evidence.entry import input_names
from nbprod.evidence.subjects import NOBODY
from nbprod.lifecycle.subject.learned import subject_in
from nbprod.lifecycle.subject.standing import State
from nbprod.lifecycle.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Fact):
    """A model's prediction log.

    Attributes:
        columns: the inputs in it that identify a subject.
        rows: how many predictions are about the subjects.
        why: why it is unknown, as the end of a sentence that begins with the log.
    """

    model: str
    path: str
    state: State
    columns: tuple[str, ...] = ()
    rows: int = 0
    why: str = ""


def prediction_logs(work: Workspace) -> dict[str, Path]:
    """Model -> folder of its prediction log's journal, in this project; what was rolled may be elsewhere."""
    from nbprod.predictions.places import folder_of, models_at

    top = folder_of(work.project.data, "")
    own = [path.name for path in top.iterdir() if path.is_dir() and any(path.iterdir())] if top.is_dir() else []
    place = work.project.rolled_predictions
    names = {*own, *(models_at(place) if place else ())}
    return {name: folder_of(work.project.data, name) for name in sorted(names)}


def ask_logs(work: Workspace, versions: Iterable[ModelVersion], subjects: Iterable[str]) -> Iterator[Log]:
    """What the prediction logs hold of some subjects.

    Args:
        subjects: IDs as they were given.
    """
    known, ids = tuple(versions), tuple(subjects)
    for model, folder in prediction_logs(work).items():
        own = [version for version in known if version.name == model and version.entry]
        path = work.project.relative(folder)
        columns = tuple(sorted({column for version in own for column in _kept(version)}))
        if columns:
            rows = sum(_rows(work, model, column, id) for column in columns for id in ids)
            yield Log(model=model, path=path, state="holds" if rows else "absent", columns=columns, rows=rows)
        elif own and not any(_marked(version) for version in own):
            yield Log(model=model, path=path, state="absent")
        else:
            why = (
                "keeps no column that identifies a subject, but others that a card marks, or that no version speaks of."
            )
            yield Log(model=model, path=path, state="unknown", why=why)


def erase_from_logs(work: Workspace, logs: Iterable[Log], subjects: Iterable[str]) -> tuple[str, ...]:
    """Take subjects out of prediction logs; returns a sentence for each that was changed."""
    from nbprod.predictions.erase import erase
    from nbprod.predictions.places import folder_of, url_of

    said, ids = [], tuple(subjects)
    for log in logs:
        for column in log.columns if log.state == "holds" else ():
            folder, url = folder_of(work.project.data, log.model), url_of(work.project.rolled_predictions, log.model)
            done = [erase(folder, column, id, url=url) for id in ids]
            rows, waiting = sum(item.rows for item in done), {name for item in done for name in item.waiting}
            later = f", {len(waiting)} segments as soon as the service has closed them" if waiting else ""
            said.append(f"{log.path}: {rows} predictions{later}")
    return tuple(said)


def _kept(version: ModelVersion) -> Iterator[str]:
    """The columns of subjects that a version's log keeps."""
    subjects = {subject_in(item) for item in version.entry["inputs"]} - {None, "", NOBODY}
    yield from (column for column in _logged(version) if column in subjects)


def _marked(version: ModelVersion) -> bool:
    """Whether a version's log keeps any column that a card marks as personal."""
    from nbprod.predictions.policy import marked_columns

    return bool(set(_logged(version)) & set(marked_columns(version.entry)))


def _logged(version: ModelVersion) -> tuple[str, ...]:
    from nbprod.predictions.policy import marked_columns, policy_of

    with suppress(NbprodError):
        return policy_of(version.entry).kept(input_names(version.entry), marked_columns(version.entry))
    return tuple(input_names(version.entry))


def _rows(work: Workspace, model: str, column: str, id: str) -> int:
    from nbprod.predictions.erase import holding
    from nbprod.predictions.places import urls_of

    urls = urls_of(work.project.data, work.project.rolled_predictions, model)
    return sum(item.rows for item in holding(urls, column, id))
