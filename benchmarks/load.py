"""The load generator of `benchmarks.serving`: closed-loop HTTP clients on raw sockets, in a process of their own.

``python -m benchmarks.load PORT CLIENTS SECONDS FILE`` sends the request in FILE over and over on each of CLIENTS
connections, and prints one JSON line. It checks the status of every answer and reads all of its body.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path


class Client(asyncio.Protocol):
    """One connection that sends its next request when the answer is whole.

    Args:
        request: the bytes of a request.
        took: where seconds of each answer are collected.
        until: of `time.perf_counter`, when no further request is sent.
    """

    def __init__(self, request: bytes, took: list[float], until: float) -> None:
        self.request, self.took, self.until = request, took, until
        self.done = asyncio.get_running_loop().create_future()
        self.errors = 0
        self._buffer = b""
        self._needed = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._needed < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            if at < 0:
                raise ValueError("an answer without a length")
            self._needed = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            self.errors += not head.startswith(b"http/1.1 200")
        if len(self._buffer) >= self._needed:
            now = time.perf_counter()
            self.took.append(now - self._began)
            self._buffer, self._needed = b"", -1
            if now < self.until:
                self._send()
            else:
                self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The end, or a failure."""
        if error is not None or time.perf_counter() < self.until:
            self.errors += 1
        if not self.done.done():
            self.done.set_result(None)


async def run(port: int, clients: int, seconds: float, request: bytes) -> dict[str, float]:
    """Load a server, and tell requests a second, percentiles in milliseconds, errors, and the own share of a CPU."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    until = begun + seconds
    made = [
        (await loop.create_connection(lambda: Client(request, took, until), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for client in made))
    spent = time.perf_counter() - begun
    own = resource.getrusage(resource.RUSAGE_SELF)
    took.sort()
    cpu = own.ru_utime + own.ru_stime - used.ru_utime - used.ru_stime
    return {
        "rate": len(took) / spent,
        "p50": 1000 * took[len(took) // 2],
        "p99": 1000 * took[min(len(took) - 1, int(len(took) * 0.99))],
        "errors": sum(client.errors for client in made),
        "requests": len(took),
        "cpu": cpu / spent,
    }


def main() -> None:
    """Read what to do from the command line."""
    import uvloop

    port, clients, seconds, file = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run(int(port), int(clients), float(seconds), Path(file).read_bytes()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
