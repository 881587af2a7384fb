"""What a supervisor does when a service ends, hangs or never gets ready: decided without a process or a clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from nbprod.targets import Deployment
from nbprod.targets.supervisor import BACK_OFF, CRASHES, MISSES, READY, STEADY, TRIES, supervise

NEW = Deployment(name="churn", version="2", target="local", bundle="/b2", url="http://127.0.0.1:1")
BEFORE = replace(NEW, previous={"version": "churn/1", "bundle": "/b1", "entry": "e1", "digest": "d1"})


@dataclass(slots=True)
class FakeHost:
    """A machine on which time passes only when the supervisor waits.

    Attributes:
        lives: for each start of a bundle how long the service takes until it is ready, and until it ends by itself.
        stop_after: seconds after which the supervisor is asked to stop.
        hangs: seconds after its start at which a service stops answering.
    """

    lives: Callable[[str, int], tuple[float, float]]
    stop_after: float = 10_000.0
    hangs: float = float("inf")
    time: float = 0.0
    begun: float = 0.0
    life: tuple[float, float] = (0.0, 0.0)
    started: list[tuple[float, str]] = field(default_factory=list)
    noted: list[Deployment] = field(default_factory=list)
    ends: int = 0

    def start(self, deployment: Deployment) -> int:
        """Begin a life."""
        self.life = self.lives(deployment.bundle, len([b for _, b in self.started if b == deployment.bundle]))
        self.begun = self.time
        self.started.append((self.time, deployment.bundle))
        return len(self.started)

    @property
    def age(self) -> float:
        """Seconds since the service was started."""
        return self.time - self.begun

    def ended(self) -> str:
        """Whether its life is over."""
        return "exit code 1" if self.age >= self.life[1] else ""

    def healthy(self, path: str) -> bool:
        """Whether it is ready and does not hang."""
        return not self.ended() and self.life[0] <= self.age < self.hangs

    def end(self) -> None:
        """Count it."""
        self.ends += 1

    def wait(self, seconds: float) -> bool:
        """Let time pass."""
        self.time += seconds
        return self.time < self.stop_after

    def clock(self) -> float:
        """The time."""
        return self.time

    def note(self, deployment: Deployment) -> None:
        """Keep it."""
        self.noted.append(deployment)

    @property
    def statuses(self) -> list[str]:
        """What was noted, in order."""
        return [item.status for item in self.noted]


FOREVER = 1e9


def test_a_service_that_works_is_ready_and_ends_when_it_is_asked_to() -> None:
    host = FakeHost(lambda bundle, start: (1.0, FOREVER), stop_after=500)
    ended = supervise(NEW, host)
    assert host.statuses == ["starting", "ready"]
    assert (ended.status, ended.reason, ended.processes, host.ends) == ("stopped", "", {}, 1)


def test_a_service_that_ends_is_started_again_after_a_longer_and_longer_while() -> None:
    host = FakeHost(lambda bundle, start: (0.0, 5.0 if start < 4 else FOREVER), stop_after=300)
    ended = supervise(NEW, host)
    times = [at for at, _ in host.started]
    pauses = [later - earlier - 6.0 for earlier, later in itertools.pairwise(times)]
    assert len(host.started) == 5
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(BACK_OFF[3])
    assert ended.status == "stopped"
    assert host.noted[-1].restarts == 4


def test_crashes_are_forgotten_once_a_service_was_steady() -> None:
    host = FakeHost(lambda bundle, start: (0.0, STEADY + 10), stop_after=(STEADY + 20) * (CRASHES + 3))
    assert supervise(NEW, host).status == "stopped"
    assert len(host.started) > CRASHES


def test_a_service_that_keeps_ending_is_given_up() -> None:
    host = FakeHost(lambda bundle, start: (0.0, 3.0))
    ended = supervise(NEW, host)
    assert (ended.status, len(host.started)) == ("failed", CRASHES)
    assert "exit code 1" in ended.reason


def test_a_service_that_hangs_is_ended_and_started_again() -> None:
    host = FakeHost(lambda bundle, start: (0.0, FOREVER), hangs=20.0, stop_after=60)
    supervise(NEW, host)
    restarting = next(item for item in host.noted if item.status == "restarting")
    assert f"{MISSES} health checks" in restarting.reason
    assert host.ends >= 1


def test_a_version_that_never_gets_ready_makes_place_for_the_one_before() -> None:
    host = FakeHost(lambda bundle, start: (FOREVER, 1.0) if bundle == "/b2" else (0.0, FOREVER), stop_after=400)
    ended = supervise(BEFORE, host)
    assert [bundle for _, bundle in host.started] == ["/b2"] * TRIES + ["/b1"]
    last = host.noted[-1]
    assert (last.ref, last.status, last.entry, last.digest) == ("churn/1", "ready", "e1", "d1")
    assert "rolled back from churn/2: it ended with exit code 1 before it was ready." in last.reason
    assert ended.status == "stopped"


def test_when_the_version_before_fails_too_that_is_the_end() -> None:
    host = FakeHost(lambda bundle, start: (FOREVER, 1.0))
    ended = supervise(BEFORE, host)
    assert (ended.status, ended.ref) == ("failed", "churn/1")
    assert len(host.started) == 2 * TRIES


def test_a_version_that_stays_silent_is_waited_for_only_so_long() -> None:
    host = FakeHost(lambda bundle, start: (FOREVER, FOREVER))
    ended = supervise(NEW, host)
    assert f"not ready within {READY:g} seconds" in ended.reason
    assert host.ends == TRIES


@pytest.mark.parametrize("after", [0.05, 1.0, 2.5])
def test_it_stops_at_any_time(after: float) -> None:
    def lives(bundle: str, start: int) -> tuple[float, float]:
        return (0.5, 1.5)

    host = FakeHost(lives, stop_after=after)
    ended: Any = supervise(BEFORE, host)
    assert ended.status == "stopped"
    assert host.ends == len(host.started)
