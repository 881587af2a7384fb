"""The audit log: who moved which alias of a model, when and why, as a chain of signed lines.

Each line is a sealed envelope that names the sha256 of the line before it, so that none can be changed, taken out or
put in unseen; what the registry itself notes of the last line tells whether the end was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nbprod.digest import canonical, sha256_bytes
from nbprod.entities import Fact
from nbprod.errors import ArtifactError
from nbprod.trust.envelope import open_envelope, seal
from nbprod.trust.keys import Keys, SigningKey

SCHEMA = "nbprod/audit/1"
KIND = "application/vnd.nbprod.audit+json"
"""The type of a line's payload in its envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine(Fact):
    """One change.

    Attributes:
        seq: 1 for the first line.
        key: id of the key that signed it.
        user: name of the user on their machine; nobody vouches for it but the key.
        action: ``promote``, ``challenge``, ``rollback`` or ``approve``; of a retraining ``alarm``, ``retrain``,
            ``shadow``, ``judge`` and ``retrain_failed``.
        alias: empty for an approval.
        before: the version that the alias pointed at; empty if it was new.
        gates: sha256 of the statement that keeps what the gates found.
        overrides: the gates that did not pass and were overridden.
        entry: digest of the version's entry.
        previous: sha256 of the line before; empty for the first.
    """

    schema: str = SCHEMA
    seq: int
    time: str
    key: str
    user: str
    action: str
    model: str
    version: str
    alias: str = ""
    before: str = ""
    reason: str = ""
    gates: str = ""
    overrides: tuple[str, ...] = ()
    entry: str = ""
    previous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Fact):
    """A model's audit log.

    Attributes:
        lines: those that could be read, in their order.
        problems: what is wrong, a sentence each.
        last: sha256 of the last line; empty if there is none.
    """

    lines: tuple[AuditLine, ...] = ()
    problems: tuple[str, ...] = ()
    last: str = ""


class Line(Protocol):
    """What every line of a chain says, whatever it is about."""

    @property
    def seq(self) -> int:
        """1 for the first line."""
        ...

    @property
    def key(self) -> str:
        """Id of the key that signed it."""
        ...

    @property
    def model(self) -> str:
        """Whose log it belongs to."""
        ...

    @property
    def previous(self) -> str:
        """Sha256 of the line before; empty for the first."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The line in JSON types."""
        ...


AnyLine = TypeVar("AnyLine", bound=Line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain(Generic[AnyLine]):
    """Signed lines; see `Log` for its attributes."""

    lines: tuple[AnyLine, ...]
    problems: tuple[str, ...]
    last: str


def seal_line(line: Line, key: SigningKey, *, kind: str = KIND) -> str:
    """A line as it is written: a signed envelope in canonical JSON."""
    return canonical(seal(kind, canonical(line.to_dict()), key)).decode()


def read_lines(texts: Sequence[str], keys: Keys, *, model: str, head: str | None = "") -> Log:
    """Read a log, and say everything that is wrong with it.

    Args:
        head: as of `read_chain`.
        model: whose log it is: a line about another one was put there.
    """
    chain = read_chain(texts, keys, kind=KIND, read=AuditLine.from_dict, name=model, head=head)
    return Log(lines=chain.lines, problems=chain.problems, last=chain.last)


def read_chain(
    texts: Sequence[str],
    keys: Keys,
    *,
    kind: str,
    read: Callable[[dict[str, Any]], AnyLine],
    name: str,
    head: str | None,
) -> Chain[AnyLine]:
    """Read a chain of signed lines, and say everything that is wrong with it.

    Args:
        kind: the type of a line's payload in its envelope.
        read: makes a line of its payload.
        name: the log that every line must say it belongs to.
        head: what the registry notes of the last line, ``<number>:<sha256>``; None away from it, where nobody can
            tell whether the end is missing.
    """
    lines: list[AnyLine] = []
    problems: list[str] = []
    heads = [""]  # what would be noted after each line
    for number, text in enumerate(texts, 1):
        previous = heads[-1].partition(":")[2]
        try:
            line, problem = _line(text, keys, kind, read)
        except ArtifactError as error:
            problems.append(f"line {number} {error.message}")
        else:
            lines.append(line)
            if found := problem or _misplaced(line, number, previous, name):
                problems.append(f"line {number} {found}")
        heads.append(f"{number}:{sha256_bytes(text.encode())}")
    if (
        head is not None and head not in heads[-2:]
    ):  # one behind: whoever wrote the last line was stopped before the note
        problems.append(_cut(head, len(texts)))
    return Chain(lines=tuple(lines), problems=tuple(problems), last=heads[-1].partition(":")[2])


def _cut(head: str, count: int) -> str:
    """What is wrong when the registry's note does not fit the log."""
    noted = head.partition(":")[0]
    if noted == str(count):
        return f"line {count} is not the one that the registry notes as the last."
    return (
        f"the log has {count} lines, but the registry notes {noted or 'none'} as its last: lines were cut off or "
        "added, or the note was changed."
    )


def _line(text: str, keys: Keys, kind: str, read: Callable[[dict[str, Any]], AnyLine]) -> tuple[AnyLine, str]:
    """A line, and what is wrong with its signature."""
    try:
        opened = open_envelope(json.loads(text), keys, kind=kind)
        line = read(json.loads(opened.payload))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError("is damaged: it is no signed line of nbprod's.") from error
    if line.key != opened.key:
        return line, f"says that {line.key} signed it, but {opened.key} did."
    match opened.state:
        case "unpinned":
            advice = "nbprod keys --pin, if you know whose it is."
            return line, f"is signed with the key {opened.key}, which is not pinned: {advice}"
        case "revoked":
            return line, f"is signed with the key {opened.key}, which was revoked."
        case "bad":
            return line, "was changed after it was signed."
    return line, ""


def _misplaced(line: Line, number: int, previous: str, name: str) -> str:
    if line.model != name:
        return f"is about '{line.model}' and was put here from another log."
    if line.seq != number:
        return f"was written as line {line.seq}: lines were taken out, put in or moved."
    return "" if line.previous == previous else "does not follow the line before it: one of the two was replaced."


def aliases_of(lines: Iterable[AuditLine]) -> dict[str, str]:
    """Alias -> the version at which the log left it."""
    return {line.alias: line.version for line in lines if line.alias}
