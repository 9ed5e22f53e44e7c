"""A span for each request to the control plane, sent by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` says so.

The span continues the caller's trace (W3C Trace Context §3.2). It names the route, never the path, the query,
a header or a body, so no secret and no user name is in it. Without the variable nothing of OpenTelemetry is
loaded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostiary.app.measuring import route_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_WITHIN_SECONDS: Final = 2
_CLOSED_WITHIN_SECONDS: Final = 3.0
_CARRIED: Final = ("traceparent", "tracestate")


class TracingNotInstalled(Exception):
    """Traces are wanted and the extra is missing; the text says what to do."""


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody is there to send spans to."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not is_off and any(environment.get(name) for name in _VARIABLES)


def check_tracing(environment: Mapping[str, str] = os.environ) -> None:
    """Make sure that what is wanted can be had.

    Raises:
        TracingNotInstalled: the extra `otel` is missing.
    """
    if is_wanted(environment):
        _provider().shutdown()


def make_tracing() -> Tracing | None:
    """Return what sends spans; `None` where nobody wants them."""
    return Tracing(_provider()) if is_wanted() else None


def _provider() -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingNotInstalled(
            f"{_VARIABLES[1]} is set, and OpenTelemetry is not installed: pip install 'ostiary[otel]', "
            "or unset the variable"
        ) from error
    about = {"service.name": "ostiary", "service.version": metadata.version("ostiary")}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_WITHIN_SECONDS)))
    return provider


class Tracing:
    """Makes spans and sends them in the background."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("ostiary")
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER

    def start(self, scope: Scope) -> Any:
        """Begin the span of a request."""
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name.decode("latin-1") in _CARRIED
        }
        context = self._propagator.extract(carrier)
        return self._tracer.start_span("request", context=context, kind=self._kind)

    def end(self, span: Any, scope: Scope, status: int) -> None:
        """Say what became of the request."""
        state, route = scope.get("state", {}), route_of(scope)
        span.update_name(f"{scope['method'][:20]} {route}")
        refused, client = state.get("refused"), state.get("client")
        attributes = {
            "http.request.method": scope["method"][:20],
            "http.route": route,
            "http.response.status_code": status,
            "ostiary.request_id": state.get("request_id"),
            "ostiary.error": getattr(refused, "error", None),
            "ostiary.organization": None if client is None else client.organization.name,
        }
        span.set_attributes({name: value for name, value in attributes.items() if value is not None})
        if status >= 500:
            from opentelemetry.trace import StatusCode

            span.set_status(StatusCode.ERROR)
        span.end()

    async def close(self) -> None:
        """Send what is left, if somebody takes it soon."""
        closing = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
        await asyncio.wait({closing}, timeout=_CLOSED_WITHIN_SECONDS)


class Traced:
    """Wraps each request in a span."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        span, status = self._tracing.start(scope), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._tracing.end(span, scope, status)
