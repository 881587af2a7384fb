"""The ``log`` section of a pipeline: which inputs of predictions are kept, for how long, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nbprod.document import Document, describe, document_of, seconds
from nbprod.entities import DatasetCard, Fact
from nbprod.errors import UsageError, nearest

KEYS = ("inputs", "retain", "because")
"""The legal keys of the section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy(Fact):
    """What the prediction log keeps.

    Attributes:
        inputs: ``all`` but what a dataset card marks, ``none``, or those that are ``named``.
        columns: the names, if they are named.
        retain: seconds; None for as long as nobody deletes it.
        because: why columns are kept that a card marks.
    """

    inputs: Literal["all", "none", "named"] = "all"
    columns: tuple[str, ...] = ()
    retain: float | None = None
    because: str = ""

    def kept(self, columns: Sequence[str], marked: Mapping[str, str]) -> tuple[str, ...]:
        """The columns of a model's input that are written down, in the model's order.

        Args:
            marked: what `marked_columns` says of the entry.

        Raises:
            UsageError: a named column is not among the model's, or a card marks it and nobody said why it is kept.
        """
        if self.inputs == "none":
            return ()
        if self.inputs == "all":
            return tuple(name for name in columns if name not in marked)
        for name in self.columns:
            if name not in columns:
                raise UsageError(f"log.inputs names '{name}', which is no input of the model.{nearest(name, columns)}")
        self.check_reason(marked)
        return tuple(name for name in columns if name in self.columns)

    def check_reason(self, marked: Mapping[str, str]) -> None:
        """Refuse to keep marked columns for no reason."""
        own = [name for name in self.columns if name in marked]
        if own and not self.because:
            said = ", ".join(f"'{name}' ({marked[name]})" for name in own)
            raise UsageError(f"log.inputs names columns that a dataset card marks: {said}; say why with `because:`.")


def read_log(section: Any, *, file: str | None = None, text: str = "") -> LogPolicy:
    """The policy that a pipeline sets; without a section all inputs are kept but what a card marks.

    Args:
        section: ``{inputs: all | none | [columns], retain: 90d, because: text}``.
        file, text: the YAML file, so that an error names its line.

    Raises:
        PipelineError: a key is unknown or a value is of another kind.
    """
    read = document_of(text, file=file)
    data = read.mapping(section, "log")
    read.only(data, KEYS, "log")
    inputs, columns = _inputs(data.get("inputs", "all"), read)
    return LogPolicy(
        inputs=inputs, columns=columns, retain=_retain(data.get("retain"), read), because=_because(data, read)
    )


def _inputs(value: Any, read: Document) -> tuple[Literal["all", "none", "named"], tuple[str, ...]]:
    if value in ("all", "none"):
        return value, ()
    if not isinstance(value, list):
        hint = nearest(value, ("all", "none")) if isinstance(value, str) else ""
        raise read.error(
            f"log.inputs must be `all`, `none` or a list of columns, not {describe(value)}.{hint}", "log", "inputs"
        )
    if not value:
        raise read.error("log.inputs is an empty list: write `none`.", "log", "inputs")
    for position, item in enumerate(value):
        if not isinstance(item, str):
            raise read.error(f"log.inputs must name columns, but holds {describe(item)}.", "log", "inputs", position)
        if item in value[:position]:
            raise read.error(f"log.inputs names '{item}' twice: keep one.", "log", "inputs", position)
    return "named", tuple(value)


def _retain(value: Any, read: Document) -> float | None:
    if value is None:
        return None
    found = seconds(value) if isinstance(value, str) else None
    if not found:
        raise read.error(f"log.retain must be a time such as 90d or 12h, not {describe(value)}.", "log", "retain")
    return found


def _because(data: Mapping[str, Any], read: Document) -> str:
    value = data.get("because")
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise read.error(f"log.because must say why in words, not {describe(value)}.", "log", "because")
    return (value or "").strip()


def policy_of(entry: Mapping[str, Any]) -> LogPolicy:
    """The policy in a version's entry: that of the pipeline as it was when it made the version."""
    return read_log(entry["pipeline"]["sections"].get("log"), file=entry["pipeline"]["path"])


def marked_columns(entry: Mapping[str, Any]) -> dict[str, str]:
    """Column -> what the cards in a version's entry say it is: personal, sensitive or subject."""
    cards = [item["card"] for item in entry["inputs"] if isinstance(item.get("card"), Mapping)]
    return marked_by(DatasetCard.from_dict(card) for card in cards)


def marked_by(cards: Iterable[DatasetCard]) -> dict[str, str]:
    """Column -> what cards say it is; the gravest word wins."""
    found: dict[str, str] = {}
    rank = ("personal", "sensitive", "subject")
    for card in cards:
        for word, names in (("personal", card.personal), ("sensitive", card.sensitive), ("subject", (card.subject,))):
            for name in names:
                if name and rank.index(word) >= rank.index(found.get(name, "personal")):
                    found[name] = word
    return found
