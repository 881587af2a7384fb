"""Follow an audited alias while serving: what is promoted or rolled back answers soon after, without a dropped request.

Only a move that stands in the model's audit log, signed with a pinned key, is followed; any other is told and left. The
next version is copied, verified, loaded and tried before it answers; one that fails leaves the one before answering.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbprod.config import Project
from nbprod.errors import DeployError, NbprodError
from nbprod.evidence.audit import Log, aliases_of, read_lines
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.workspace import Workspace
from nbprod.registry.database import local_aliases, local_head, local_lines, local_path
from nbprod.serving import events
from nbprod.trust.keys import Keys

if TYPE_CHECKING:
    from nbprod.serving.loading import Source
    from nbprod.serving.server import Plan
    from nbprod.serving.service import Loaded, Service

LOCAL, REMOTE = 0.25, 2.0
"""Seconds between two looks at a registry's file, and at a registry elsewhere."""

Bring = Callable[[str, Path], "Source"]
"""Copies a version, by its reference, into a folder and verifies it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a registry says of a model.

    Attributes:
        head: its note of the last line of the audit log.
        aliases: alias -> version, whoever moved it.
        lines: of the audit log, read when they are needed.
    """

    head: str
    aliases: Mapping[str, str]
    lines: Callable[[], tuple[str, ...]]

    @property
    def token(self) -> tuple[Any, ...]:
        """What changes when anything does."""
        return (self.head, tuple(sorted(self.aliases.items())))


Look = Callable[[], Seen]


@contextmanager
def looking(project: Project, name: str) -> Iterator[tuple[Look, float]]:
    """A way to look at a model in the registry, and the seconds between two looks.

    A local registry's files are read; another is asked by a process of its own, so that MLflow is not imported here.
    """
    path = local_path(project.registry_uri())
    if path is not None:
        yield lambda: _local(path, name), LOCAL
        return
    with open_registry(project) as registry:

        def remote() -> Seen:
            aliases = {alias: found.version for found in registry.versions(name) for alias in found.aliases}
            return Seen(head=registry.head(name), aliases=aliases, lines=lambda: registry.lines(name))

        yield remote, REMOTE


def _local(path: Path, name: str) -> Seen:
    aliases, head = local_aliases(path), local_head(path, name)
    if aliases is None or head is None:
        raise DeployError("the registry's file cannot be read.", file=str(path))

    def lines() -> tuple[str, ...]:
        found = local_lines(path, name)
        if found is None:
            raise DeployError("the audit log of the registry cannot be read.", file=str(path))
        return found

    return Seen(head=head, aliases=aliases.get(name, {}), lines=lines)


def audited(seen: Seen, name: str, alias: str, keys: Keys, *, needed: Literal["yes", "no"] = "yes") -> str:
    """The version at which a sound audit log left an alias; empty where nothing has it, if it is not needed.

    Raises:
        DeployError: the log is not sound, or the alias does not point where it says.
    """
    log: Log = read_lines(seen.lines(), keys, model=name, head=seen.head)
    if log.problems:
        raise DeployError(f"the audit log of '{name}' cannot be trusted, so {name}@{alias} is not followed: "
                          f"{' '.join(log.problems)}")  # fmt: skip
    said, now = aliases_of(log.lines).get(alias, ""), seen.aliases.get(alias, "")
    if not said and not now and needed == "no":
        return ""
    if said != now:
        raise DeployError(
            f"the alias '{alias}' of '{name}' points at version {now or '-'}, but its audit log left it at version "
            f"{said or '-'}: somebody moved it without nbprod, so it is not followed."
        )
    if not said:
        raise DeployError(f"the model '{name}' has no alias '{alias}': nbprod promote {name} --to {alias} sets it.")
    return said


def first_version(work: Workspace, name: str, alias: str, *, needed: Literal["yes", "no"] = "yes") -> str:
    """The version to begin with; see `audited`.

    Raises:
        DeployError: the alias is not audited.
    """
    with looking(work.project, name) as (look, _):
        return audited(look(), name, alias, Keys(), needed=needed)


@dataclass(slots=True, kw_only=True)
class Follower:
    """Follows aliases in a worker, in a thread of its own.

    Args:
        alias: of the version that answers; empty for one that is not followed.
        shadow: of the version that scores what was answered; empty for one that is not followed. Nobody has it, or the
            version that answers has it, while there is no shadow.
        bring: see `Bring`.
        scratch: a folder for copies, of this service alone.
    """

    project: Project
    name: str
    alias: str
    shadow: str = ""
    bring: Bring
    scratch: Path
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _refused: str = ""

    def begin(self, service: Service, plan: Plan) -> Follower:
        """Begin, within the running event loop whose application serves.

        Returns:
            One whose `close` ends it.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        own = replace(self, _ended=threading.Event())
        own._thread = threading.Thread(target=own._run, args=(service, plan, loop), name="follow", daemon=True)
        own._thread.start()
        return own

    def close(self) -> None:
        """End it; a version that is being loaded is not waited for."""
        self._ended.set()

    def _run(self, service: Service, plan: Plan, loop: Any) -> None:
        known: tuple[Any, ...] = ()
        with ExitStack() as stack:
            try:
                look, pause = stack.enter_context(looking(self.project, self.name))
            except NbprodError as error:
                events.tell("error", "the registry cannot be followed", error=str(error))
                return
            while not self._ended.wait(pause):
                try:
                    seen = look()
                    if seen.token == known:
                        continue
                    self._look(seen, service, plan, loop)
                    known = seen.token
                    self._refused = ""
                except NbprodError as error:
                    self._tell(error)
                except Exception as error:  # whatever a model or a file raises: the version before goes on answering
                    events.tell("error", "the alias could not be followed", error=error)

    def _tell(self, error: NbprodError) -> None:
        """Say once why it is not followed."""
        if str(error) != self._refused:
            self._refused = str(error)
            events.tell(
                "error", "the alias is not followed, and the version before goes on answering", error=str(error)
            )

    def _look(self, seen: Seen, service: Service, plan: Plan, loop: Any) -> None:
        """Exchange what is not what the aliases say any more; the answer first."""
        roles = service.roles
        answer = roles.answer
        if self.alias:
            version = audited(seen, self.name, self.alias, Keys())
            if version != answer.served.version:
                answer = self._loaded(version, plan)
        shadow = roles.shadow
        if self.shadow:
            version = audited(seen, self.name, self.shadow, Keys(), needed="no")
            if version in ("", answer.served.version):
                shadow = None
            elif shadow is None or version != shadow.served.version:
                shadow = self._shadow(version, plan)
        if answer is not roles.answer or shadow is not roles.shadow:
            loop.call_soon_threadsafe(lambda: service.exchange(replace(service.roles, answer=answer, shadow=shadow)))

    def _shadow(self, version: str, plan: Plan) -> Loaded | None:
        """A shadow; none where it cannot be loaded, which must not keep the answer from being exchanged."""
        try:
            return self._loaded(version, plan)
        except Exception as error:  # whatever a model or a file raises
            events.tell("error", "the shadow cannot be loaded", version=f"{self.name}/{version}", error=error)
            return None

    def _loaded(self, version: str, plan: Plan) -> Loaded:
        import tempfile

        from nbprod.serving.loading import load
        from nbprod.serving.service import Loaded

        target = Path(tempfile.mkdtemp(prefix=f"{version}-", dir=self.scratch)) / "model"
        source = self.bring(f"{self.name}/{version}", target)
        return Loaded.of(load(source, plan.limits), locked=plan.api_keys is not None)
