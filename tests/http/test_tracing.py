"""Spans by OTLP: in the caller's trace, without secrets; nothing is loaded where nobody wants them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from starlette.testclient import TestClient

from ostiary.app import Settings, TracingNotInstalled, build_app, check_tracing

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PASSWORD = "a-wrong-password-of-bob"
SECRET = "s3cret-of-the-client"


class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    endpoint = f"http://127.0.0.1:{collector.server.server_address[1]}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


def test_a_request_is_a_span_of_the_callers_trace_without_secrets(settings: Settings, collector: Collector):
    form = {"grant_type": "password", "username": "bob@acme", "password": PASSWORD}
    with TestClient(build_app(settings)) as http:
        headers = {"traceparent": TRACEPARENT, "x-secret": "a-header-nobody-needs"}
        refused = http.post("/token?x=in-the-query", data=form, auth=("mobile", SECRET), headers=headers)
        http.get("/nothing/named-by-the-caller", headers={"traceparent": "hostile" * 100})

    spans = {span.name: span for span in collector.spans()}
    assert spans.keys() == {"POST /token", "GET other"}
    span = spans["POST /token"]
    attributes = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACEPARENT[3:35], TRACEPARENT[36:52])
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/token",
        "http.response.status_code": 401,
        "ostiary.request_id": refused.headers["x-request-id"],
        "ostiary.error": "invalid_client",
    }
    sent = b"".join(collector.bodies)
    for secret in (PASSWORD, SECRET, "in-the-query", "bob", "a-header-nobody-needs", "named-by-the-caller"):
        assert secret.encode() not in sent


def test_a_collector_that_is_gone_costs_nobody_an_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with TestClient(build_app(settings)) as http:
        assert http.get("/nothing").status_code == 404


def test_a_missing_extra_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    check_tracing({})
    with pytest.raises(TracingNotInstalled, match=r"pip install 'ostiary\[otel\]'"):
        check_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_nothing_of_it_is_loaded_where_nobody_wants_it():
    wanted = "opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client"
    program = f"import sys, ostiary.app; print([n for n in sys.modules if n.startswith({wanted})])"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PATH": ""}, check=True
    )
    assert done.stdout.strip() == "[]"
