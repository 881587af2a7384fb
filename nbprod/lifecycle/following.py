"""Follow audited aliases while serving: what is promoted or rolled back answers soon after, without a dropped request.

Only a move that stands in the model's audit log, signed with a pinned key, is followed; any other is told and left. The
next version is copied, verified, loaded and tried before it answers; one that fails leaves the one before answering.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nbprod.config import Project
from nbprod.errors import DeployError, NbprodError, RegistryError
from nbprod.evidence.audit import Log, aliases_of, read_lines
from nbprod.lifecycle.services import open_registry
from nbprod.lifecycle.workspace import Workspace
from nbprod.registry.database import local_aliases, local_head, local_lines, local_path
from nbprod.serving import events
from nbprod.trust.keys import Keys

if TYPE_CHECKING:
    from nbprod.serving.loading import Source
    from nbprod.serving.server import Plan
    from nbprod.serving.service import Service

LOCAL, REMOTE = 0.25, 2.0
"""Seconds between two looks at a registry's file, and at a registry elsewhere."""

SETTLES = 2.0
"""Seconds for which an alias may stand elsewhere than its log says: a promotion writes the log first, then moves it."""

KEPT = 2
"""So many copies stay: of the version that answers, and of the one before, whose requests may not be answered yet."""

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
    with ExitStack() as stack:
        running = [stack.enter_context(open_registry(project))]

        def remote() -> Seen:
            if not running[0].alive:  # it was killed, perhaps for want of memory
                stack.close()
                running[0] = stack.enter_context(open_registry(project))
            registry = running[0]
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
    if said != now:
        raise DeployError(
            f"the alias '{alias}' of '{name}' points at version {now or '-'}, but its audit log left it at version "
            f"{said or '-'}: somebody moved it without nbprod, so it is not followed."
        )
    if not said and needed == "yes":
        raise DeployError(f"the model '{name}' has no alias '{alias}': nbprod promote {name} --to {alias} sets it.")
    return said


def first_version(work: Workspace, name: str, alias: str, *, needed: Literal["yes", "no"] = "yes") -> str:
    """The version to begin with; see `audited`.

    Raises:
        DeployError: the alias is not audited.
    """
    with looking(work.project, name) as (look, _):
        until = time.monotonic() + SETTLES
        while True:
            try:
                return audited(look(), name, alias, Keys(), needed=needed)
            except DeployError:
                if time.monotonic() >= until:
                    raise
            time.sleep(LOCAL)


@dataclass(slots=True, kw_only=True)
class _Followed:
    """An alias that is followed, and how far.

    Attributes:
        version: that has the role now; empty for none.
        refused: why it was not followed when that was last told.
        doubted: why its log and it do not agree, and since when.
        copies: of versions, the last the one that has the role.
    """

    role: Literal["answer", "shadow"]
    alias: str
    version: str
    refused: str = ""
    doubted: tuple[str, float] = ("", 0.0)
    copies: list[Path] = field(default_factory=list)

    def tell(self, error: NbprodError) -> None:
        """Say once why it is not followed."""
        if str(error) == self.refused:
            return
        self.refused = str(error)
        stays = "the version before goes on answering" if self.role == "answer" else "the shadow stays what it was"
        events.tell("error", f"the alias is not followed, and {stays}", error=str(error))

    def doubt(self, error: NbprodError) -> None:
        """Tell why it is not followed, when that has settled."""
        text, since = self.doubted
        if text != str(error):
            self.doubted = (str(error), time.monotonic())
        elif time.monotonic() - since >= SETTLES:
            self.tell(error)

    def agreed(self) -> None:
        """It can be followed again: another move is told again."""
        self.refused, self.doubted = "", ("", 0.0)

    def keep(self, folder: Path) -> None:
        """Keep a copy, and let those go that nothing reads any more."""
        self.copies.append(folder)
        for old in self.copies[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        del self.copies[:-KEPT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Follows aliases in a worker, in a thread of its own.

    Args:
        alias: of the version that answers; empty for one that is not followed.
        shadow: of the version that scores what was answered; empty for one that is not followed. There is no shadow
            while nothing has it, or the version that answers.
        bring: see `Bring`.
        scratch: a folder for copies, of this service alone.
    """

    project: Project
    name: str
    alias: str
    shadow: str
    bring: Bring
    scratch: Path

    def begin(self, service: Service, plan: Plan) -> _Following:
        """Begin, within the running event loop whose application serves.

        Returns:
            One whose `close` ends it.
        """
        import asyncio

        following = _Following(follower=self, service=service, plan=plan, loop=asyncio.get_running_loop())
        threading.Thread(target=following.run, name="follow", daemon=True).start()
        return following


@dataclass(slots=True, kw_only=True)
class _Following:
    """The thread that follows."""

    follower: Follower
    service: Service
    plan: Plan
    loop: Any
    _ended: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """End it; a version that is being loaded is not waited for."""
        self._ended.set()

    def run(self) -> None:
        """Look until it is ended."""
        roles, known = self.service.roles, ()
        answer = _Followed(role="answer", alias=self.follower.alias, version=roles.answer.served.version)
        version = roles.shadow.served.version if roles.shadow else ""
        shadow = _Followed(role="shadow", alias=self.follower.shadow, version=version)
        with ExitStack() as stack:
            try:
                look, pause = stack.enter_context(looking(self.follower.project, self.follower.name))
            except NbprodError as error:
                events.tell("error", "the registry cannot be followed", error=str(error))
                return
            while not self._ended.wait(pause):
                try:
                    known = self._look(look(), known, answer, shadow)
                except NbprodError as error:
                    answer.tell(error)
                except Exception as error:
                    events.tell("error", "the alias could not be followed", error=error)

    def _look(self, seen: Seen, known: tuple[Any, ...], answer: _Followed, shadow: _Followed) -> tuple[Any, ...]:
        """Let the versions have their roles at which the aliases were left, the answer first.

        Args:
            known: what was settled before.

        Returns:
            What is settled: nothing new if it must be looked at again.
        """
        if seen.token == known:
            answer.agreed()
            shadow.agreed()
            return known
        settled = True
        if answer.alias:
            settled &= self._follow(answer, seen)
        if shadow.alias:
            settled &= self._follow(shadow, seen, answers=answer.version)
        return seen.token if settled else known

    def _follow(self, followed: _Followed, seen: Seen, *, answers: str = "") -> bool:
        """Let the version have a role at which its alias was left; false if it must be looked at again.

        A version that cannot be served is told, and not tried again until something changes. What is raised may be gone
        at the next look: a registry that is away.
        """
        needed: Literal["yes", "no"] = "yes" if followed.role == "answer" else "no"
        try:
            version = audited(seen, self.follower.name, followed.alias, Keys(), needed=needed)
        except NbprodError as error:
            followed.doubt(error)
            return False
        followed.doubted = ("", 0.0)
        try:
            self._exchange(followed, "" if version == answers else version)
            followed.refused = ""
        except RegistryError:
            raise
        except NbprodError as error:
            followed.tell(error)
        except Exception as error:  # whatever a model or a file raises: the version before goes on
            events.tell("error", "the alias could not be followed", error=error)
        return True

    def _exchange(self, followed: _Followed, version: str) -> None:
        import tempfile

        from nbprod.serving.loading import load
        from nbprod.serving.service import Loaded

        if version == followed.version:
            return
        loaded = None
        if version:
            folder = Path(tempfile.mkdtemp(prefix=f"{version}-", dir=self.follower.scratch))
            try:
                source = self.follower.bring(f"{self.follower.name}/{version}", folder / "model")
                loaded = Loaded.of(load(source, self.plan.limits), locked=self.plan.api_keys is not None)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            followed.keep(folder)
        service = self.service
        roles: dict[str, Any] = {followed.role: loaded}
        self.loop.call_soon_threadsafe(lambda: service.exchange(replace(service.roles, **roles)))
        followed.version = version
