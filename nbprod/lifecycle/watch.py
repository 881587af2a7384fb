"""``nbprod watch``: monitor models, retrain those that are stale, and take back what did not do, again and again.

What it did last stands in ``.nbprod/watch.json``, so that it goes on where it was stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from nbprod.document import seconds
from nbprod.entities import Fact
from nbprod.errors import NbprodError, UsageError
from nbprod.lifecycle.guarding import guard
from nbprod.lifecycle.history import history
from nbprod.lifecycle.monitor import Request, monitor
from nbprod.lifecycle.retrain import Asking, Retrained, exit_code, retrain
from nbprod.lifecycle.stale import champion_of
from nbprod.lifecycle.versions import known_versions
from nbprod.lifecycle.workspace import open_existing
from nbprod.retraining.policy import policy_of
from nbprod.store import write_text

SCHEMA = "nbprod/watch/1"
FILE = "watch.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Fact):
    """What was found about one model.

    Attributes:
        at: when it was looked at, in Unix seconds; the next look is due an interval later.
        status: monitoring's, or ``UNKNOWN`` where it could not look.
        state: as of `nbprod.lifecycle.retrain`, or ``error``.
        code: the exit code that it amounts to.
    """

    name: str
    at: float
    status: str = "UNKNOWN"
    state: str = "fresh"
    reason: str = ""
    version: str = ""
    guarded: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Fact):
    """What ``.nbprod/watch.json`` holds: model -> the last look at it."""

    schema: str = SCHEMA
    looks: dict[str, Look] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What is watched.

    Attributes:
        names: models; empty for all that have a policy.
        every: such as ``1h``.
    """

    names: tuple[str, ...] = ()
    every: str = "1h"


def once(watching: Watching, *, tell: Callable[[Look], None] = lambda look: None) -> tuple[Look, ...]:
    """Look at each model once, whether it is due or not; one that fails does not stop the rest.

    Raises:
        UsageError: as of `watch`.
    """
    interval(watching.every)
    return tuple(_looked(name, tell) for name in names_of(watching))


def watch(
    watching: Watching,
    *,
    tell: Callable[[Look], None] = lambda look: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look at each model when it is due, until the process is stopped.

    Raises:
        UsageError: the interval is no time, or a model has no policy.
    """
    every = interval(watching.every)
    while True:
        for name in due(names_of(watching), kept(), every=every, now=time.time()):
            _looked(name, tell)
        looks = [kept().looks.get(name) for name in names_of(watching)]
        next_at = min((look.at + every for look in looks if look), default=time.time() + every)
        sleep(min(max(next_at - time.time(), 1.0), every))


def interval(text: str) -> float:
    """Seconds of ``--every``."""
    found = seconds(text)
    if not found:
        raise UsageError(f"--every must be a time such as 1h or 15m, not '{text}'.")
    return found


def due(names: Iterable[str], known: Kept, *, every: float, now: float) -> tuple[str, ...]:
    """The models that were not looked at for so long, or never; also where a clock went back."""
    looks = {name: known.looks.get(name) for name in names}
    return tuple(name for name, look in looks.items() if look is None or not 0 <= now - look.at < every)


def names_of(watching: Watching) -> tuple[str, ...]:
    """The models that are watched.

    Raises:
        UsageError: none of them has a policy, or one that was named has none.
    """
    with open_existing() as work:
        if not watching.names:
            models = sorted({version.name for version in known_versions(work) if version.entry})
            found = tuple(name for name in models if policy_of(champion_of(name, work).entry))
            if not found:
                raise UsageError("no model has a policy to watch by: write `retrain:` in a pipeline, then nbprod run.")
            return found
        for name in watching.names:
            if policy_of(champion_of(name, work).entry) is None:
                raise UsageError(
                    f"'{name}' has no policy to watch by: write `retrain:` in its pipeline, then nbprod run."
                )
        return watching.names


def _looked(name: str, tell: Callable[[Look], None]) -> Look:
    """Look at one model, whatever happens, and keep what was found."""
    look = Look(name=name, at=time.time())
    try:
        look = _look(look)
    except NbprodError as error:
        look = replace(look, state="error", reason=str(error), code=error.exit_code)
    except Exception as error:  # a bug that one model shows must not leave the others unwatched; it is told
        look = replace(look, state="error", reason=f"{type(error).__name__}: {error}", code=1)
    keep(look)
    tell(look)
    return look


def _look(look: Look) -> Look:
    """Monitor, guard, retrain."""
    with suppress(NbprodError):  # nothing was recorded yet, or it has no profile: age, data and schedule still count
        look = replace(look, status=monitor(look.name, Request()).report.status)
    with open_existing() as work:
        champion = champion_of(look.name, work)
    policy = policy_of(champion.entry)
    if policy is not None:
        verdict = guard(champion, policy, history(look.name).lines)
        if verdict is not None:
            look = replace(look, guarded=f"{verdict.act}: {verdict.reason}")
            if verdict.act == "rollback":
                return replace(look, state="rolled back", reason=verdict.reason, version=champion.ref, code=6)
    asking = Asking(name=look.name, when="if_stale")
    found: Retrained = retrain(asking)
    return replace(look, state=found.state, reason=found.reason, version=found.version, code=exit_code(asking, found))


def kept() -> Kept:
    """What was kept; nothing where the file is missing or cannot be read, so that all is looked at anew."""
    with open_existing() as work:
        return read_kept(work.project.data / FILE)


def read_kept(file: Path) -> Kept:
    """What a file keeps."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Kept.from_dict(content) if content["schema"] == SCHEMA else Kept()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Kept()


def keep(look: Look) -> None:
    """Write the last look at a model down, beside those at others, which other processes may write."""
    from filelock import FileLock

    with open_existing() as work:
        file = work.project.data / FILE
        with FileLock(work.project.data / "locks" / "watch.lock"):
            found = read_kept(file)
            whole = replace(found, looks={**found.looks, look.name: look})
            write_text(file, json.dumps(whole.to_dict(), indent=1) + "\n")


def code_of(looks: Iterable[Look]) -> int:
    """The gravest ending: what failed comes before gates that did not pass, and those before what is well."""
    codes = [look.code for look in looks]
    return next((code for code in codes if code not in (0, 6)), max(codes, default=0))


def shown_time(look: Look) -> str:
    """When a model was looked at, for people."""
    return datetime.fromtimestamp(look.at, UTC).strftime("%Y-%m-%d %H:%M")
