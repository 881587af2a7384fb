"""The ASGI application: the routes that predict stand on ASGI itself, everything else on Starlette.

Starlette's request, response and middleware cost about as much as the prediction of a small model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from nbprod.serving import events, inference, invocations
from nbprod.serving.asked import Asked
from nbprod.serving.batching import Answer
from nbprod.serving.exchange import JSON, Gone, Receive, Scope, Send, authorize, headers_of, read_body, refuse, reply
from nbprod.serving.refusal import Refused
from nbprod.serving.service import Loaded, Service, respond

Finish = Callable[[Answer], tuple[bytes, list[tuple[bytes, bytes]]]]

_JSON = [JSON]


class App:
    """Answers requests with a service.

    Args:
        pages: the application for all other routes; see `nbprod.serving.pages`.
    """

    def __init__(self, service: Service, pages: Callable[..., Any]) -> None:
        self.service = service
        self._pages = pages
        self._readers: dict[str, Callable[..., tuple[Asked, Finish]]] = {
            "/predict": _predict,
            "/invocations": _invocations,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        reader = self._readers.get(path)
        if reader is None and path.startswith("/v2/models/") and path.endswith("/infer"):
            reader = _infer
        if reader is None or scope["method"] != "POST":
            await self._page(scope, receive, send)
            return
        route = path if reader is not _infer else "/v2/models/NAME/infer"
        await self._answer(reader, route, scope, receive, send)

    async def _answer(
        self, reader: Callable[..., tuple[Asked, Finish]], route: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        arrived = time.perf_counter()
        service = self.service
        status = 200
        try:
            headers = headers_of(scope)
            key = authorize(headers, service.keys)
            body = await read_body(receive, headers, service.limits)
            loaded, role = service.choose(lambda: headers.get("sticky", body))
            asked, finish = reader(loaded, body, headers, scope)
            answer = await service.batcher.submit(asked, loaded.served, role=role, key=key, arrived=arrived)
            content, extra = finish(answer)
            await reply(send, 200, content, extra)
            if service.roles.shadow is not None and role == "answer":
                service.shadow(asked, request=answer.request, key=key)
        except Refused as error:
            status = error.status
            if status < 500:
                service.metrics.refused(route)
            own = invocations.refused(error) if route == "/invocations" else None
            await refuse(receive, send, error, own)
        except Gone:
            status = 499
        except Exception as error:  # a bug, or a model that raised something else than ValueError
            status = 500
            events.tell("error", "a request failed", route=route, error=error)
            await reply(send, 500, b'{"error":"the model or the service failed; its log says where."}')
        service.metrics.request(route, status, time.perf_counter() - arrived)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.perf_counter()
        status = 500

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._pages(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.service.metrics.request(route, status, time.perf_counter() - arrived)


def _is_json(headers: dict[str, bytes]) -> None:
    kind = headers.get("type", b"")
    if kind == b"application/json":
        return
    if kind.partition(b";")[0].strip().lower() != b"application/json":
        raise Refused("the body must be JSON, and say so: content-type: application/json.", status=415)


def _predict(loaded: Loaded, body: bytes, headers: dict[str, bytes], scope: Scope) -> tuple[Asked, Finish]:
    _is_json(headers)
    asked = loaded.served.decoder.predict(body)
    if scope["query_string"]:
        asked.proba = _wants_proba(scope, asked)
    return asked, _responded


def _responded(answer: Answer) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    return respond(answer), _JSON


def _wants_proba(scope: Scope, asked: Asked) -> bool:
    """What ``?proba=`` says, or what the body said."""
    for pair in scope["query_string"].split(b"&"):
        if pair in (b"proba=true", b"proba=1"):
            return True
        if pair.startswith(b"proba=") and pair not in (b"proba=false", b"proba=0"):
            raise Refused("proba is true or false.", path="?proba", expected="true or false", status=422)
    return asked.proba


def _invocations(loaded: Loaded, body: bytes, headers: dict[str, bytes], scope: Scope) -> tuple[Asked, Finish]:
    kind = headers.get("type", b"").partition(b";")[0].strip().lower()
    if kind == b"text/csv":
        asked = loaded.invocations.csv(body)
    elif kind == b"application/json":
        asked = loaded.invocations.json(body)
    else:
        raise Refused(
            "the body must be JSON or CSV, and say so: content-type: application/json or text/csv.", status=415
        )
    if scope["query_string"]:
        asked.proba = _wants_proba(scope, asked)
    return asked, lambda answer: (invocations.answered(answer), _JSON)


def _infer(loaded: Loaded, body: bytes, headers: dict[str, bytes], scope: Scope) -> tuple[Asked, Finish]:
    check_model(loaded, scope["path"].split("/")[3:-1])
    asked, said = loaded.inference.read(body, headers.get("json_length"))
    return asked, lambda answer: inference.answered(answer, said)


def check_model(loaded: Loaded, parts: list[str]) -> None:
    """Refuse another model or version than the one that answers.

    Args:
        parts: ``[NAME]`` or ``[NAME, "versions", V]``.
    """
    served = loaded.served
    if parts not in ([served.name], [served.name, "versions", served.version]):
        raise Refused(f"this service answers with {served.ref}.", status=404)


def error_body(message: str) -> bytes:
    """An error of the pages."""
    return orjson.dumps({"error": message})
