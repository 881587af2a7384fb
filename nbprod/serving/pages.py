"""All routes but those that predict: health, metrics, the model's description, feedback, and the docs page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from nbprod.errors import DeployError
from nbprod.serving import events
from nbprod.serving.exchange import Gone, authorize, headers_of, read_body, refuse
from nbprod.serving.faults import malformed
from nbprod.serving.inference import metadata
from nbprod.serving.metrics import Key
from nbprod.serving.page import PAGE, POLICY
from nbprod.serving.refusal import Refused, busy
from nbprod.serving.service import Service

Endpoint = Callable[[Service, Request], Awaitable[Response]]


class Feedback(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a caller says later about a prediction; see `nbprod.predictions.feedback.Feedback`."""

    request_id: str
    value: msgspec.Raw
    row: int | None = None
    name: str = ""


_FEEDBACK = msgspec.json.Decoder(Feedback | list[Feedback])


async def live(service: Service, request: Request) -> Response:
    """The process runs."""
    return JSONResponse({"live": True})


async def ready(service: Service, request: Request) -> Response:
    """It answers; 503 while it ends."""
    served = service.roles.answer.served
    body = {"ready": service.ready, "model": served.name, "version": served.version}
    return JSONResponse(body, status_code=200 if service.ready else 503)


async def metrics(service: Service, request: Request) -> Response:
    """Prometheus's format."""
    roles = service.roles
    gauges: dict[Key, float] = {("nbprod_journal_lag_bytes",): service.journal.lag}
    for role, loaded in (("answer", roles.answer), ("shadow", roles.shadow), ("canary", roles.canary)):
        if loaded is not None:
            gauges["nbprod_version", loaded.served.version, role] = 1
    return PlainTextResponse(service.metrics.text(gauges), media_type="text/plain; version=0.0.4")


async def openapi(service: Service, request: Request) -> Response:
    """The description of everything that the service answers, from the model's signature."""
    return Response(service.roles.answer.openapi, media_type="application/json")


async def docs(service: Service, request: Request) -> Response:
    """A page for people; it loads nothing from elsewhere."""
    return HTMLResponse(PAGE, headers={"content-security-policy": POLICY})


async def home(service: Service, request: Request) -> Response:
    """To the page for people."""
    return RedirectResponse("docs")


async def feedback(service: Service, request: Request) -> Response:
    """Write down what turned out to be true; 404 where no prediction can have that id."""
    headers = headers_of(request.scope)
    if headers.get("type", b"").partition(b";")[0].strip().lower() != b"application/json":
        raise Refused("the body must be JSON, and say so: content-type: application/json.", status=415)
    body = await read_body(request.receive, headers, service.limits)
    try:
        found = _FEEDBACK.decode(body)
        items = found if isinstance(found, list) else [found]
        said = [(item, msgspec.json.decode(bytes(item.value))) for item in items]
    except msgspec.ValidationError:
        raise Refused(
            'expected {"request_id": "...", "value": ...}, with "row" and "name" where needed, or a list of them.',
            status=422,
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    if len(said) > service.limits.rows:
        raise Refused(f"one request may hold {service.limits.rows} pieces of feedback.", status=413)
    for item, _ in said:
        if (item.row or 0) < 0 or len(item.name) > 200:
            raise Refused("row must be 0 or more, and name at most 200 letters.", status=422)
        if not service.exists(item.request_id):
            raise Refused("no prediction of this service can have that request_id.", status=404, path="$.request_id")
    key = request.state.key
    try:
        service.feedback([(item.request_id, item.row, item.name, value, key) for item, value in said])
    except (DeployError, OSError) as error:
        events.tell("error", "feedback cannot be written", error=str(error))
        raise busy("the log is full: send the feedback again later.") from None
    return JSONResponse({"accepted": len(said)}, status_code=202)


async def server(service: Service, request: Request) -> Response:
    """The server's description in the Open Inference Protocol."""
    return JSONResponse({"name": "nbprod", "version": installed("nbprod"), "extensions": ["binary_tensor_data"]})


async def alive(service: Service, request: Request) -> Response:
    """Live, in the Open Inference Protocol."""
    return JSONResponse({"live": True})


async def model(service: Service, request: Request) -> Response:
    """The model's description in the Open Inference Protocol."""
    served = _named(service, request)
    about = metadata(served.signature, served.entry, classes=len(served.classes or ()) if served.proba else 0)
    platform = f"nbprod_{served.entry['model']['flavor']}"
    return JSONResponse({"name": served.name, "versions": [served.version], "platform": platform, **about})


async def model_ready(service: Service, request: Request) -> Response:
    """Whether the model answers, in the Open Inference Protocol."""
    served = _named(service, request)
    return JSONResponse({"name": served.name, "ready": service.ready}, status_code=200 if service.ready else 503)


def _named(service: Service, request: Request) -> Any:
    served = service.roles.answer.served
    name, version = request.path_params["name"], request.path_params.get("version", served.version)
    if (name, version) != (served.name, served.version):
        raise Refused(f"this service answers with {served.ref}.", status=404)
    return served


async def ping(service: Service, request: Request) -> Response:
    """As MLflow's scoring server answers."""
    return PlainTextResponse("\n", status_code=200 if service.ready else 503)


async def version(service: Service, request: Request) -> Response:
    """The version of nbprod, where MLflow's scoring server tells its own."""
    return PlainTextResponse(installed("nbprod"))


OPEN = ("/livez", "/readyz", "/docs", "/", "/v2/health/live", "/v2/health/ready", "/ping", "/health")
"""What needs no key: whether it is well, and a page without data."""

ROUTES: dict[str, tuple[str, Endpoint]] = {
    "/": ("GET", home), "/docs": ("GET", docs), "/openapi.json": ("GET", openapi), "/livez": ("GET", live),
    "/readyz": ("GET", ready), "/metrics": ("GET", metrics), "/feedback": ("POST", feedback), "/v2": ("GET", server),
    "/v2/health/live": ("GET", alive), "/v2/health/ready": ("GET", ready), "/v2/models/{name}": ("GET", model),
    "/v2/models/{name}/ready": ("GET", model_ready), "/v2/models/{name}/versions/{version}": ("GET", model),
    "/v2/models/{name}/versions/{version}/ready": ("GET", model_ready), "/ping": ("GET", ping),
    "/health": ("GET", ping), "/version": ("GET", version),
}  # fmt: skip

POSTED = ("/predict", "/invocations", "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer")


def pages(service: Service) -> Starlette:
    """The application."""

    def route(path: str, method: str, endpoint: Endpoint) -> Route:
        async def called(request: Request) -> Response:
            headers = headers_of(request.scope)
            request.state.key = "" if path in OPEN else authorize(headers, service.keys)
            return await endpoint(service, request)

        return Route(path, called, methods=[method], name=endpoint.__name__)

    async def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, Refused):  # pragma: no cover - registered for it alone
            raise error
        if error.status == 413:
            return _Refusal(request, error)
        return JSONResponse(error.to_dict(), status_code=error.status, headers=dict(error.headers))

    async def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        said = {404: "there is no such path: GET /docs lists them.", 405: "this path takes another method."}
        return JSONResponse({"error": said.get(status, "the request cannot be answered.")}, status, headers)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)

    async def failed(request: Request, error: Exception) -> Response:
        events.tell("error", "a request failed", route=request.url.path, error=error)
        return JSONResponse({"error": "the service failed; its log says where."}, status_code=500)

    async def only_post(service: Service, request: Request) -> Response:
        return JSONResponse({"error": "this path takes POST."}, status_code=405, headers={"allow": "POST"})

    routes = [route(path, method, endpoint) for path, (method, endpoint) in ROUTES.items()]
    routes += [route(path, method, only_post) for path in POSTED for method in ("GET",)]
    handlers: Any = {Refused: refused, HTTPException: unknown, Gone: gone, Exception: failed}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Refusal(Response):
    """An answer to a body that is too large: sent before the body has come to its end."""

    def __init__(self, request: Request, error: Refused) -> None:
        super().__init__(status_code=error.status)
        self._request, self._error = request, error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await refuse(self._request.receive, send, self._error)
