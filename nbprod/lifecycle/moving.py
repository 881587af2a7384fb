"""Move an alias: first a signed line in the audit log, which decides between two who try at once, then the alias."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime

from nbprod.entities import ModelVersion
from nbprod.errors import RegistryError, UsageError
from nbprod.evidence.audit import AuditLine, Log, read_lines, seal_line
from nbprod.registry import Registry
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is to be done, and why.

    Attributes:
        action: ``promote``, ``challenge`` or ``rollback``.
        gates: sha256 of the statement that keeps what the gates found; empty if none were asked.
        overrides: the gates that did not pass and were overridden.
    """

    action: str
    alias: str
    reason: str = ""
    gates: str = ""
    overrides: tuple[str, ...] = ()


def read_log(registry: Registry, name: str, keys: Keys) -> Log:
    """A model's audit log, with what is wrong with it."""
    return read_lines(registry.lines(name), keys, model=name, head=registry.head(name))


def target_of(registry: Registry, name: str, alias: str) -> str:
    """The version that an alias points at now, whoever moved it; empty if there is no such alias."""
    return next((version.version for version in registry.versions(name) if alias in version.aliases), "")


def move(registry: Registry, version: ModelVersion, wanted: Move, keys: Keys) -> str:
    """Move an alias to a version; returns the version that it pointed at before, empty if it is new.

    Raises:
        UsageError: it points there already.
        RegistryError: the audit log was tampered with.
        AliasConflict: somebody else wrote the next line of the log first; nothing was moved.
    """
    log = sound_log(registry, version.name, keys)
    before = target_of(registry, version.name, wanted.alias)
    if before == version.version:
        raise UsageError(f"{wanted.alias} points at {version.ref} already.")
    append(registry, version, wanted, keys, log=log, before=before)
    registry.point(version.name, wanted.alias, version.version)
    return before


def sound_log(registry: Registry, name: str, keys: Keys) -> Log:
    """A model's audit log.

    Raises:
        RegistryError: something is wrong with it, so nothing may be added.
    """
    log = read_log(registry, name, keys)
    if log.problems:
        raise RegistryError(
            f"the audit log of '{name}' cannot be trusted: {log.problems[0]} Nothing is moved until that is cleared "
            f"up: nbprod history {name}"
        )
    return log


def append(registry: Registry, version: ModelVersion, wanted: Move, keys: Keys, *, log: Log, before: str = "") -> None:
    """Write the next line of a model's audit log; AliasConflict if somebody else did."""
    key = keys.own()
    line = AuditLine(
        seq=len(log.lines) + 1,
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        key=key.id,
        user=current_user(),
        action=wanted.action,
        model=version.name,
        version=version.version,
        alias=wanted.alias,
        before=before,
        reason=wanted.reason,
        gates=wanted.gates,
        overrides=wanted.overrides,
        entry=version.digest,
        previous=log.last,
    )
    registry.append(version.name, line.seq, seal_line(line, key))


def current_user() -> str:
    """The name of whoever runs this on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        return "unknown"
