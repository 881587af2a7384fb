"""One request and its answer, on ASGI itself: who asks, a body within its bounds, and an answer that can be read.

Where a body is too large the answer is sent first and the rest of the body is read and thrown away, since a connection
that is closed with unread bytes takes the answer with it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from nbprod.serving.keys import ApiKeys
from nbprod.serving.limits import Limits
from nbprod.serving.refusal import Refused

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WANTED = {
    b"content-type": "type", b"content-encoding": "encoding", b"content-length": "length",
    b"authorization": "authorization", b"x-api-key": "key", b"origin": "origin",
    b"inference-header-content-length": "json_length", b"nbprod-sticky": "sticky", b"traceparent": "trace",
}  # fmt: skip

JSON = (b"content-type", b"application/json")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

DISCARDED = 256 << 20
"""Bytes up to which the rest of a body that is too large is read, so that its sender can read the answer."""

PATIENCE = 10.0
"""Seconds that this may take."""


class Gone(Exception):
    """The caller closed the connection."""


def headers_of(scope: Scope) -> dict[str, bytes]:
    """The headers that the service looks at, by short names."""
    wanted = WANTED
    return {wanted[name]: value for name, value in scope["headers"] if name in wanted}


def authorize(headers: dict[str, bytes], keys: ApiKeys | None) -> str:
    """The name of the caller's key; empty where none are needed.

    Raises:
        Refused: there is none, or it is not known; or a web page of another origin asks a service without keys.
    """
    if keys is None:
        if origin := headers.get("origin"):
            host = origin.decode("latin-1").partition("://")[2]
            if host.rpartition(":")[0] not in LOOPBACK and host not in LOOPBACK:
                raise Refused(
                    "web pages of other origins may not ask a service without API keys: start it with --api-key-file.",
                    status=403,
                )
        return ""
    text = headers.get("authorization", b"").decode("latin-1")
    given = text[7:].strip() if text[:7].lower() == "bearer " else headers.get("key", b"").decode("latin-1")
    name = keys.name_of(given) if given else None
    if name is None:
        wrong = "this API key is none of this service's" if given else "this service needs an API key"
        raise Refused(
            f"{wrong}: send one as `Authorization: Bearer KEY`.",
            status=401,
            headers=(("www-authenticate", "Bearer"),),
        )
    return name


async def read_body(receive: Receive, headers: dict[str, bytes], limits: Limits) -> bytes:
    """The whole body, unpacked.

    Raises:
        Refused: it is too large (the rest is still to be read: see `refuse`), or not as its headers say.
        Gone: the caller went away.
    """
    length = headers.get("length")
    if length is not None and int(length) > limits.body:
        raise _too_large(limits)
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            if size > limits.body:
                raise _too_large(limits)
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
        body = b"".join(parts)
    if len(body) > limits.body:
        raise _too_large(limits)
    encoding = headers.get("encoding")
    return body if encoding is None else unpacked(body, encoding, limits)


def _too_large(limits: Limits) -> Refused:
    return Refused(f"the body is larger than {limits.body} bytes: send fewer rows at once.", status=413)


def unpacked(body: bytes, encoding: bytes, limits: Limits) -> bytes:
    """A body without its content encoding, never more than the limit of it.

    Raises:
        Refused: it is another encoding than gzip, damaged, cut off, or too large.
    """
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name != b"gzip":
        raise Refused("the content encoding is neither gzip nor identity.", status=415)
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(body, limits.body + 1)
    except zlib.error:
        raise Refused("the body is not valid gzip.") from None
    if len(found) > limits.body:
        raise _too_large(limits)
    if not reader.eof or reader.unused_data:
        raise Refused("the body's gzip is cut off, or something follows it.")
    return found


async def discard(receive: Receive) -> None:
    """Read the rest of a body and throw it away, up to `DISCARDED` bytes and for `PATIENCE` seconds."""
    left = DISCARDED
    try:
        async with asyncio.timeout(PATIENCE):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


async def reply(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (JSON,)) -> None:
    """Answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def refuse(receive: Receive, send: Send, error: Refused, body: bytes | None = None) -> None:
    """Answer a request that is refused.

    Args:
        body: the answer's, where a protocol has its own form.
    """
    content = orjson.dumps(error.to_dict()) if body is None else body
    headers = [JSON, *((name.encode(), value.encode()) for name, value in error.headers)]
    if error.status != 413:
        await reply(send, error.status, content, headers)
        return
    headers += [(b"content-length", str(len(content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    await discard(receive)
    await send({"type": "http.response.body", "body": b""})
