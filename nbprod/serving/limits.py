"""What a request may cost the service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one request, and of all that are answered at once.

    Attributes:
        body: bytes of a request's body, also after it was unpacked.
        header: bytes of a request's first line and headers.
        rows: of one request.
        connections: open at once, in one worker.
        waiting: rows that wait for their prediction in one worker; further requests are answered 503.
        seconds: that a request may take to arrive.
        idle: seconds after which a connection without a request is closed.
        drain: seconds that requests may still take after SIGTERM.
        batch: rows that are predicted at once.
    """

    body: int = 32 << 20
    header: int = 32 << 10
    rows: int = 100_000
    connections: int = 1024
    waiting: int = 200_000
    seconds: float = 30.0
    idle: float = 75.0
    drain: float = 30.0
    batch: int = 20_000
