"""Uvicorn's HTTP protocol with two more bounds: on headers, and on how long a request may take to arrive."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from nbprod.serving.limits import Limits

LINGER = 2.0
"""Seconds for which what a refused caller still sends is read, so that the answer reaches it."""


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol's class, which uvicorn makes one of for each connection."""

    class Own(Bounded):
        bounds = limits

    return Own


class Bounded(HttpToolsProtocol):
    """A connection whose requests must arrive in time, with headers of a bounded size."""

    bounds = Limits()
    _timer: asyncio.TimerHandle | None = None
    _head = 0
    _reading = True
    _refused = False

    def connection_made(self, transport: Any) -> None:
        """A request must follow."""
        super().connection_made(transport)
        self._begin(self.bounds.seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing follows."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request; of one that was refused they are thrown away."""
        if self._refused:
            return
        if self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._head > self.bounds.header:
            self._refuse(431, "the request's headers are too large.")
        elif self._reading and self._timer is None:
            self._begin(self.bounds.seconds)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._reading = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are there, perhaps with a part of the body."""
        self._head = -1
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.bounds.header:
            self._refuse(431, "the request's headers are too large.")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body: the application is woken when it has all, or more than it takes."""
        if self._refused or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > self.bounds.body:
            self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._reading = False
        self._head = 0
        if not self._refused:
            self._end()
            super().on_message_complete()

    def _begin(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._late)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        cycle = self.cycle
        if self._refused or (cycle is not None and cycle.response_started and not cycle.response_complete):
            self.transport.close()
        elif not self.transport.is_closing():
            self._refuse(408, "the request took too long to arrive.")

    def _refuse(self, status: int, message: str) -> None:
        self._refused = True
        self._end()
        body = f'{{"error":"{message}"}}'.encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: "
        self.transport.write(STATUS_LINE[status] + head + str(len(body)).encode() + b"\r\n\r\n" + body)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._begin(LINGER)
        else:
            self.transport.close()
