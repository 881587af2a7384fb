"""A service on the wire: TLS, spans for a collector, and callers that send too much or too slowly."""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.functional.conftest import Make
from tests.functional.project import Project
from tests.functional.serving import BODY, JSON, Running, serving, train_toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(make_project: Make) -> Project:
    """A project with a model."""
    made = make_project("wire")
    train_toy(made)
    return made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that signed itself, for 127.0.0.2, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nbprod test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


def tls(certificate: tuple[Path, Path]) -> list[str]:
    return ["--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_https_answers_who_trusts_the_certificate_and_plain_http_fails_cleanly(
    project: Project, certificate: tuple[Path, Path], tmp_path: Path, workers: str
) -> None:
    options = [*tls(certificate), "--host", "127.0.0.2", "--workers", workers, "--max-body", "100000"]
    with serving(project, tmp_path, *options) as service:
        assert service.url.startswith("https://127.0.0.2:")
        service.trust = ssl.create_default_context(cafile=certificate[0])
        assert service.post()[1]["predictions"] == [1]
        assert service.post(b" " * 2_000_000)[0] == 413
        with (
            pytest.raises((http.client.HTTPException, OSError)),
            closing(http.client.HTTPConnection("127.0.0.2", service.port, timeout=10)) as plain,
        ):
            plain.request("POST", "/predict", BODY, JSON)
            plain.getresponse()
        service.trust = ssl.create_default_context()
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            service.post()
        service.trust = ssl.create_default_context(cafile=certificate[0])
        assert service.post()[0] == 200
        assert service.stop() == 0
        assert not [line for line in service.said if "Traceback" in line or '"level": "error"' in line]


def test_a_certificate_that_cannot_be_used_and_an_open_address_without_keys_are_refused(
    project: Project, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    said = project.nbprod("serve", "toy/1", "--port", "0", *tls((tmp_path / "cert.pem", certificate[1])), code=7).stderr
    assert "the TLS certificate or its key cannot be used" in said
    missing = tls((tmp_path / "missing.pem", certificate[1]))
    said = project.nbprod("serve", "toy/1", "--port", "0", *missing, code=7).stderr
    assert "the TLS certificate or its key cannot be used" in said
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        said = project.nbprod("serve", "toy/1", "--port", "0", "--host", host, *tls(certificate), code=2).stderr
        assert "can be reached from other machines, so callers need keys" in said


@dataclass(slots=True, kw_only=True)
class Collector:
    """An OTLP collector on this machine.

    Attributes:
        spans: that came.
    """

    url: str
    spans: list[Any] = field(default_factory=list)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """It takes what OpenTelemetry's exporter posts."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            content = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                content = gzip.decompress(content)
            came = ExportTraceServiceRequest.FromString(content)
            found.spans += [
                span for item in came.resource_spans for scope in item.scope_spans for span in scope.spans
            ]  # fmt: skip
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    found = Collector(url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_collector_gets_a_span_for_a_request_below_that_of_its_caller(
    project: Project, collector: Collector, tmp_path: Path, workers: str
) -> None:
    trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    with serving(project, tmp_path, "--workers", workers, variables=variables) as service:
        assert service.post(traceparent=f"00-{trace}-{caller}-01")[0] == 200
        assert service.post({"records": [{}]})[0] == 422
        assert not [line for line in service.said if "tracing" in line]
        assert service.stop() == 0  # what was not sent yet is sent at the end
    spans = {span.attributes[0].value.int_value: span for span in collector.spans}
    assert sorted(spans) == [200, 422]
    assert (spans[200].trace_id.hex(), spans[200].parent_span_id.hex()) == (trace, caller)
    assert spans[200].name == "POST /predict"
    assert not spans[422].parent_span_id
    assert spans[200].end_time_unix_nano > spans[200].start_time_unix_nano


def test_a_collector_that_is_away_costs_no_answer(project: Project, tmp_path: Path) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with serving(project, tmp_path, variables=variables) as service:
        assert [service.post()[0] for _ in range(20)] == [200] * 20
        assert service.stop() == 0


@pytest.fixture(scope="module")
def bounded(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with narrow bounds."""
    options = ["--request-timeout", "2", "--max-body", "100000", "--max-header", "4000"]
    with serving(project, tmp_path_factory.mktemp("log"), *options) as found:
        yield found


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/v2/models/toy/infer", "/feedback"])
@pytest.mark.parametrize("chunked", [False, True])
def test_who_sends_too_much_reads_413_while_it_still_sends(bounded: Running, path: str, chunked: bool) -> None:
    """As people's clients do: http.client sends all of the body before it looks at the answer."""
    part = b" " * 65536
    with closing(http.client.HTTPConnection("127.0.0.1", bounded.port, timeout=30)) as connection:
        if chunked:
            connection.request("POST", path, iter([part] * 300), JSON, encode_chunked=True)
        else:
            connection.request("POST", path, part * 300, JSON)
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"larger than 100000 bytes" in answer.read()
    assert bounded.post()[0] == 200


def test_a_body_that_comes_drop_by_drop_is_ended_with_408_and_others_are_answered_meanwhile(bounded: Running) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", bounded.port, timeout=30)) as slow:
        slow.putrequest("POST", "/predict")
        slow.putheader("content-type", "application/json")
        slow.putheader("content-length", "1000")
        slow.endheaders()
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.1):
                try:
                    slow.send(b" ")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert bounded.post()[0] == 200
            answer = slow.getresponse()
            assert answer.status == 408
            assert json.loads(answer.read())["error"] == "the request took too long to arrive."
        finally:
            ended.set()
            thread.join()
    assert bounded.post()[0] == 200


def test_many_slow_callers_keep_nobody_else_out(bounded: Running) -> None:
    import socket

    slow = [socket.create_connection(("127.0.0.1", bounded.port), timeout=30) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
        assert bounded.post()[0] == 200
        assert {connection.recv(12) for connection in slow} == {b"HTTP/1.1 408"}
    finally:
        for connection in slow:
            connection.close()
    assert bounded.post()[0] == 200


def test_a_header_over_the_limit_gets_431_on_a_connection_that_was_used_before(bounded: Running) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", bounded.port, timeout=30)) as connection:
        for number in range(3):
            connection.request("POST", "/predict", BODY, JSON)
            assert connection.getresponse().read(), number
        connection.request("POST", "/predict", BODY, {**JSON, "x-large": "a" * 5000})
        assert connection.getresponse().status == 431
    assert bounded.post()[0] == 200
