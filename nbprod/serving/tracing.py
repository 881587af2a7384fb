"""OpenTelemetry spans, where its exporter is configured by its own variables and installed; otherwise nothing."""

from __future__ import annotations

import os
from typing import Any

from nbprod.serving import events
from nbprod.serving.exchange import Receive, Scope, Send

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def traced(app: Any) -> Any:
    """The application with a span for each request, or itself where tracing is not configured."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(map(os.environ.get, VARIABLES)):
        return app
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        events.tell("warning", "tracing is configured, but not installed: pip install 'nbprod[tracing]'",
                    error=str(error))  # fmt: skip
        return app
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traced(app, provider.get_tracer("nbprod.serving"))


class Traced:
    """An application that makes a span of each request, as a child of the caller's."""

    def __init__(self, app: Any, tracer: Any) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within a span."""
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        name = f"{scope['method']} {scope['path']}"
        with self._tracer.start_as_current_span(name, context=extract(carrier), kind=SpanKind.SERVER) as span:

            async def watched(message: Any) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, watched)
