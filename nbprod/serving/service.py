"""What a worker holds: the versions by their roles, which may be exchanged while it answers, and what they share."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbprod.predictions.journal import Journal
from nbprod.serving import events
from nbprod.serving.batching import Answer, Batcher
from nbprod.serving.inference import Inference
from nbprod.serving.invocations import Invocations
from nbprod.serving.keys import ApiKeys
from nbprod.serving.limits import Limits
from nbprod.serving.metrics import Metrics
from nbprod.serving.refusal import Refused
from nbprod.serving.served import Served

SHADOWED = 256
"""So many requests may wait for the shadow; more are not scored by it, so that it never slows answers down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A version with the readers of its protocols, and its descriptions."""

    served: Served
    invocations: Invocations
    inference: Inference
    openapi: bytes

    @classmethod
    def of(cls, served: Served, *, locked: bool) -> Loaded:
        """Make the readers of a version.

        Args:
            locked: whether callers need an API key.
        """
        from nbprod.serving.openapi import document

        return cls(
            served=served,
            invocations=Invocations(served.decoder),
            inference=Inference(served.decoder),
            openapi=document(served, locked=locked),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who answers. It never changes: an exchange puts another one in its place at once.

    Attributes:
        share: of the requests that the canary answers, from 0 to 1.
    """

    answer: Loaded
    shadow: Loaded | None = None
    canary: Loaded | None = None
    share: float = 0.0


@dataclass(slots=True, kw_only=True)
class Service:
    """See the module.

    Attributes:
        roles: replaced as a whole; a request keeps those that it began with.
        feedback: writes feedback down: request, row, name, value, source.
        exists: whether a request's id can be one of this log's.
        ready: false while it ends.
        signals: that asked for the end.
    """

    roles: Roles
    batcher: Batcher
    journal: Journal
    metrics: Metrics
    limits: Limits
    keys: ApiKeys | None
    feedback: Callable[..., None]
    exists: Callable[[str], bool]
    folder: Path
    ready: bool = True
    signals: set[int] = field(default_factory=set)
    _shadowed: int = field(default=0)

    def choose(self, sticky: Callable[[], bytes]) -> tuple[Loaded, str]:
        """Who answers a request, and its role.

        Args:
            sticky: what is the same for all requests that one version should answer.
        """
        roles = self.roles
        if roles.canary is not None and share_of(sticky()) < roles.share:
            return roles.canary, "canary"
        return roles.answer, "answer"

    def shadow(self, asked: Any, *, request: str, key: str) -> None:
        """Have the shadow score what was answered; nobody waits for it."""
        loaded = self.roles.shadow
        if loaded is None:
            return
        if self._shadowed >= SHADOWED or loaded.served.signature != self.roles.answer.served.signature:
            self.metrics.dropped()
            return
        try:
            future = self.batcher.submit(
                asked, loaded.served, role="shadow", key=key, arrived=time.perf_counter(), request=request
            )
        except Refused:
            self.metrics.dropped()
            return
        self._shadowed += 1
        future.add_done_callback(self._scored)

    def _scored(self, done: Any) -> None:
        self._shadowed -= 1
        if not done.cancelled() and done.exception() is not None:
            self.metrics.dropped()

    def exchange(self, roles: Roles) -> None:
        """Let others answer from now on; requests that began are answered by those they began with."""
        before, self.roles = self.roles, roles
        if before.answer is not roles.answer:
            events.tell(
                "info",
                "another version answers",
                before=before.answer.served.ref,
                version=roles.answer.served.ref,
                path=roles.answer.served.proof.path,
            )
        if before.shadow is not roles.shadow:
            events.tell("info", "another version shadows", before=_ref(before.shadow), version=_ref(roles.shadow))


def _ref(loaded: Loaded | None) -> str:
    return loaded.served.ref if loaded else "none"


def share_of(sticky: bytes) -> float:
    """A number from 0 to 1 that is always the same for the same bytes, and even over many."""
    return int.from_bytes(hashlib.blake2b(sticky, digest_size=8).digest(), "big") / 2**64


def respond(answer: Answer) -> bytes:
    """The answer of ``/predict``."""
    return (
        b'{"request_id":"' + answer.request.encode() + b'",' + answer.served.head
        + b',"predictions":' + answer.predictions
        + (b',"probabilities":' + answer.probabilities + answer.served.tail if answer.probabilities else b"")
        + b"}"
    )  # fmt: skip
