"""``nbprod history``: who moved which alias of a model, when and why, and what was moved behind nbprod's back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nbprod.entities import Fact
from nbprod.errors import UsageError, nearest
from nbprod.evidence.audit import AuditLine, Log, aliases_of, read_lines
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.workspace import Workspace, open_existing
from nbprod.registry import parse_ref
from nbprod.registry.database import local_aliases, local_head, local_lines, local_path
from nbprod.trust.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Fact):
    """A model's history.

    Attributes:
        lines: oldest first.
        problems: what is wrong with the log, a sentence each.
        moved: sentences about aliases that do not point where the log says.
    """

    name: str
    lines: tuple[AuditLine, ...]
    problems: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


def history(name: str) -> History:
    """The history of a model; it changes nothing, and needs no MLflow where the registry is local.

    Raises:
        UsageError: there is no such model.
    """
    model = parse_ref(name).name
    with open_existing() as work:
        log, aliases = _found(work, model)
        return History(name=model, lines=log.lines, problems=log.problems, moved=moved_by_hand(model, log, aliases))


def moved_by_hand(model: str, log: Log, aliases: Mapping[str, str]) -> tuple[str, ...]:
    """Aliases that do not point where the log says.

    Args:
        aliases: alias -> version, as the registry has it now.
    """
    said = aliases_of(log.lines)
    found = []
    for alias in sorted({*said, *aliases}):
        if said.get(alias) != aliases.get(alias):
            logged = f"at version {said[alias]}" if alias in said else "nowhere"
            now = f"points at version {aliases[alias]}" if alias in aliases else "is gone"
            found.append(
                f"the alias '{alias}' of '{model}' {now}, but the log left it {logged}: somebody moved it without "
                "nbprod."
            )
    return tuple(found)


def _found(work: Workspace, model: str) -> tuple[Log, Mapping[str, str]]:
    """The log and the aliases: from the files of a local registry, else from the registry."""
    keys, path = Keys(), local_path(work.project.registry_uri())
    if path is not None:
        aliases, lines, head = local_aliases(path), local_lines(path, model), local_head(path, model)
        if aliases is not None and lines is not None and head is not None:
            if model not in {version.name for version in work.index.versions(work.project.registry_uri())}:
                _check_known(work, model, aliases)
            return read_lines(lines, keys, model=model, head=head), aliases.get(model, {})
    with open_registry(work.project) as registry:
        versions = registry.versions(model)
        if not versions:
            names = {version.name for version in registry.versions()}
            raise UsageError(f"there is no model '{model}'.{nearest(model, names) or ' None is registered yet.'}")
        found = {alias: version.version for version in versions for alias in version.aliases}
        return read_lines(registry.lines(model), keys, model=model, head=registry.head(model)), found


def _check_known(work: Workspace, model: str, aliases: Mapping[str, Mapping[str, str]]) -> None:
    names = {version.name for version in work.index.versions(work.project.registry_uri())} | set(aliases)
    if model not in names:
        raise UsageError(f"there is no model '{model}'.{nearest(model, names) or ' None is registered yet.'}")
