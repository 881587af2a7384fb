"""What an erasure blocks: runs on data that still hold the subject; see `learned` for what learned from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nbprod.errors import NbprodError, UsageError
from nbprod.evidence.tombstones import Erased
from nbprod.lifecycle.plan import Bound
from nbprod.lifecycle.subject.erasures import read_erasures
from nbprod.lifecycle.subject.indexing import Dataset, Found, Indexes, declared
from nbprod.lifecycle.subject.learned import question_of, shown
from nbprod.lifecycle.workspace import Workspace
from nbprod.pipeline.attempt import Inspect


def check_inputs(work: Workspace, bound: Bound) -> None:
    """Index the inputs whose cards name a subject, and refuse those that hold one who is erased.

    Raises:
        PipelineError: a card names a column that is not there.
        UsageError: an input holds, or may hold, a subject who is erased.
        RegistryError: the log of erasures cannot be trusted.
    """
    found = [item for _, _, item in declared(work, (text for stage in bound.stages for text in stage.files.values()))]
    if not found:
        return
    erased = read_erasures(work).sound().open
    for dataset in found:
        if refused := _refused(Indexes(work=work), dataset, erased):
            raise UsageError(refused, file=dataset.artifact.uri)


def holding(work: Workspace, bound: Bound) -> Inspect:
    """What says, as a stage begins, which of its files hold a subject who is erased.

    They were looked at before the run, but may have been replaced since.
    """
    texts = {item.name: tuple(item.files.values()) for item in bound.everything}

    def inspect(stage: str, paths: Mapping[str, Path]) -> Iterator[str]:
        try:
            for text, _, dataset in declared(work, texts[stage]):
                erased = read_erasures(work).sound().open
                if refused := _refused(Indexes(work=work), dataset, erased):
                    yield f"{text} {refused}"
        except NbprodError as error:
            yield str(error)

    return inspect


def _refused(indexes: Indexes, dataset: Dataset, erased: Sequence[Erased]) -> str:
    """Why a run may not read a dataset, beginning after its name; empty if it may."""
    for item in erased:
        found = indexes.ask(dataset, question_of([item]))
        if found.answer == "holds":
            return (
                f"still holds a subject who is erased ({shown(item)}): remove the rows of that subject from the file, "
                "then run again."
            )
        if found.answer == "unknown":
            return _unknown(item, found)
    return ""


def _unknown(item: Erased, found: Found) -> str:
    """Why nobody knows whether a dataset holds a subject, and what to do."""
    if found.lacking:
        return (
            f"may hold a subject who is erased ({shown(item)}), but the subject key {item.subject_key} is not here: "
            f"bring it back from a copy or get it from {item.user}, as subjects-{item.subject_key}.key beside your own "
            f"keys; if it is lost, `nbprod subject erase --replaces {item.line}` says the erasure again with yours."
        )
    return (
        f"may hold a subject who is erased ({shown(item)}), because it {found.why.rstrip('.')}: keep the data as "
        "Parquet, CSV, TSV or JSON lines, in UTF-8."
    )
