"""The registry's log of erasures: read, checked against this project's own copy of it, and written.

The copy under ``.nbprod/tombstones/`` tells when lines vanish from the registry; it decides nothing by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nbprod.digest import sha256_bytes
from nbprod.entities import Fact
from nbprod.errors import AliasConflict, RegistryError
from nbprod.evidence.tombstones import Erased, Tombstone, read_tombstones, seal_tombstone, standing
from nbprod.lifecycle.moving import current_user
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.workspace import Workspace
from nbprod.registry import Registry
from nbprod.registry.auditing import ERASURES, file_name, read_local
from nbprod.registry.database import local_head, local_lines, local_path
from nbprod.store import write_text
from nbprod.trust.keys import Keys

PAUSES = (0.02, 0.1, 0.3)
"""Seconds to wait before a log that looks wrong is read again."""

TRIES = 20
"""So often a line is written anew when somebody else wrote one of that number first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures(Fact):
    """All erasures of a registry.

    Attributes:
        count, last: number of lines, and sha256 of the last one.
        problems: what is wrong with the log, a sentence each.
    """

    erased: tuple[Erased, ...] = ()
    problems: tuple[str, ...] = ()
    count: int = 0
    last: str = ""

    @property
    def open(self) -> tuple[Erased, ...]:
        """Those that are not closed."""
        return tuple(item for item in self.erased if item.open)

    def sound(self) -> Erasures:
        """Itself.

        Raises:
            RegistryError: something is wrong with the log, so nobody knows who is erased.
        """
        if self.problems:
            raise RegistryError(
                f"the log of erasures cannot be trusted: {self.problems[0]} Nothing that holds data subjects is run or "
                "moved until that is cleared up: nbprod subject list"
            )
        return self


def read_erasures(work: Workspace, registry: Registry | None = None) -> Erasures:
    """The erasures of the project's registry; a local one is read without MLflow.

    Args:
        registry: one that is open already.
    """
    if registry is None and (path := local_path(work.project.registry_uri())) is not None:
        lines, head = local_lines(path, ERASURES), local_head(path, ERASURES)
        if lines is not None and head is not None:
            return _settled(work, lambda: (local_lines(path, ERASURES) or (), local_head(path, ERASURES) or ""))
    if registry is not None:
        return _settled(work, lambda: (registry.lines(ERASURES), registry.head(ERASURES)))
    with open_registry(work.project) as opened:
        return _settled(work, lambda: (opened.lines(ERASURES), opened.head(ERASURES)))


def _folder(work: Workspace) -> Path:
    """Where the copy of a registry's log is."""
    return work.project.data / "tombstones" / sha256_bytes(work.project.registry_uri().encode())[:12]


def _settled(work: Workspace, ask: Callable[[], tuple[tuple[str, ...], str]]) -> Erasures:
    """The log; what looks wrong only because somebody writes right now is read again.

    Args:
        ask: the lines, and what the registry notes of the last one.
    """
    folder = _folder(work)
    for wait in (*PAUSES, None):
        copied = read_local(folder)  # before the lines, which only grow
        lines, head = ask()
        chain = read_tombstones(lines, Keys(), head=head)
        problems = (*_lost(copied, lines), *chain.problems)
        if not problems or wait is None:
            break
        time.sleep(wait)
    for number in range(len(copied) + 1, len(lines) + 1):
        write_text(folder / file_name(number), lines[number - 1])
    return Erasures(erased=standing(chain.lines), problems=problems, count=len(lines), last=chain.last)


def _lost(copied: tuple[str, ...], lines: tuple[str, ...]) -> Iterator[str]:
    if copied[: len(lines)] != lines[: len(copied)]:
        yield "its lines are not the ones that this project has a copy of."
    elif len(copied) > len(lines):
        yield f"it has {len(lines)} lines, but this project has a copy of {len(copied)}: lines were taken away."


def write_tombstone(
    work: Workspace,
    registry: Registry,
    *,
    action: str,
    tokens: Iterable[str],
    subject_key: str,
    reason: str,
    replaces: tuple[int, ...] = (),
) -> Tombstone:
    """Write the next line; when somebody else writes at the same time theirs comes first and this one after it.

    Raises:
        RegistryError: the log cannot be trusted, or others write all the time.
    """
    key, listed = Keys().own(), tuple(sorted(tokens))
    for _ in range(TRIES):
        known = read_erasures(work, registry).sound()
        line = Tombstone(
            seq=known.count + 1,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            key=key.id,
            user=current_user(),
            action=action,
            tokens=listed,
            subject_key=subject_key,
            reason=reason,
            replaces=replaces,
            previous=known.last,
        )
        try:
            registry.append(ERASURES, line.seq, seal_tombstone(line, key))
        except AliasConflict:
            continue
        read_erasures(work, registry)  # takes the copy
        return line
    raise RegistryError("others write to the log of erasures all the time, so nothing was written: try it again.")
