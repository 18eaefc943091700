"""Clients in Rust, from tests/clients/rust/, as test_clients.py has those in other languages."""
import json
import os
import subprocess
import urllib.parse

import pytest

from clients import only_with_all, rust  # fixtures
from conftest import QUICK, poll
from test_clients import (ATTRIBUTES, CART, RESOURCE, agent, as_jaeger_has_it, by_jaeger, by_jaeger_v3, by_zipkin, check_by_jaeger_v3,
                          check_by_zipkin, check_checkout, check_order, check_otel, otlp_url, start_ms, stored, subset, zipkin_url)
from test_door import Authority, tls_settings

pytestmark = only_with_all

CART_ATTRIBUTES = {**ATTRIBUTES, "GET /cart": {
    **ATTRIBUTES["GET /cart"], "largest": ("int", 2**63 - 1), "weights": ("array", [("double", 0.5), ("double", 2.25)])}}


# ---- OpenTelemetry ----

@pytest.mark.parametrize("compression", ["", "+gzip", "+zstd"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_opentelemetry(daemon, rust, protocol, compression):
    d, start = daemon(*QUICK), start_ms()
    check_otel(d, rust("otel", protocol + compression, otlp_url(d, protocol), start), start, CART_ATTRIBUTES)


@pytest.mark.parametrize("protocol", ["grpc", "grpc+gzip"])
def test_opentelemetry_of_2024(daemon, rust, protocol):
    d, start = daemon(*QUICK), start_ms()
    check_otel(d, rust("otel_former", protocol, otlp_url(d, protocol), start), start, CART_ATTRIBUTES)


def test_zipkins_exporter_names_no_service(daemon, rust):
    """What it makes of a root's missing parent is an id of zeros."""
    d, start = daemon(*QUICK), start_ms()
    said = rust("otel", "zipkin", zipkin_url(d, "v2"), start)
    stored(d, len(CART))
    spans = {span["name"]: span for span in by_zipkin(d, said["trace"])}
    jaeger = by_jaeger(d, said["trace"])
    assert set(spans) == {name.lower() for name in CART} and set(jaeger) == set(spans)
    for name, (_, kind, parent, from_ms, to_ms) in CART.items():
        span = spans[name.lower()]
        assert "localEndpoint" not in span and jaeger[name.lower()]["service"] == "unknown_service"
        assert span.get("kind", "INTERNAL") == kind.upper()
        assert (span["id"], span.get("parentId")) == (said["spans"][name], said["spans"].get(parent))
        assert (span["timestamp"], span["duration"]) == ((start + from_ms) * 1000, (to_ms - from_ms) * 1000)
        assert span["tags"].get("error") == ("timed out" if name == "load" else None)
    subset({"cached": "true", "rows": "42", "ratio": "0.25", "names": '["a","b"]'}, spans["get /cart"]["tags"])
    assert spans["get /cart"]["annotations"] == [{"timestamp": (start + 5) * 1000, "value": "cache miss"}]


def test_zipkins_exporter_of_2024(daemon, rust):
    d, start = daemon(*QUICK), start_ms()
    said = rust("otel_former", "zipkin", zipkin_url(d, "v2"), start)
    stored(d, len(CART))
    check_by_zipkin(d, said, start, names='["a","b"]')


@pytest.mark.parametrize("exporter", ["jaeger-udp", "jaeger-http"])
def test_jaegers_exporters_of_2024(daemon, rust, exporter):
    d, start = daemon(*QUICK), start_ms()
    said = rust("otel_former", exporter, agent(d, "compact") if exporter == "jaeger-udp" else d.urls["Jaeger HTTP"], start)
    stored(d, len(CART))
    spans = by_jaeger(d, said["trace"])
    assert set(spans) == set(CART)
    for name, (service, kind, parent, from_ms, to_ms) in CART.items():
        span = spans[name]
        assert (span["service"], span["id"]) == (service, said["spans"][name])
        assert span["tags"].get("span.kind") == (("string", kind) if kind != "internal" else None)
        links = [("FOLLOWS_FROM", said["trace"], said["spans"]["GET /cart"])] if name == "deliver" else []
        assert span["references"] == ([("CHILD_OF", said["trace"], said["spans"][parent])] if parent else []) + links
        assert (span["from"], span["to"]) == ((start + from_ms) * 1000, (start + to_ms) * 1000)
        subset({key: as_jaeger_has_it(value) for key, value in CART_ATTRIBUTES[name].items()}, span["tags"])
        subset(RESOURCE, span["process"])
        assert span["tags"].get("error") == (("bool", True) if name == "load" else None)
    subset({"otel.status_description": ("string", "timed out")}, spans["load"]["tags"])
    subset({"otel.library.name": ("string", "cart.test"), "otel.library.version": ("string", "4.5.6")}, spans["GET /cart"]["tags"])
    assert spans["GET /cart"]["logs"] == [
        ((start + 5) * 1000, {"event": ("string", "cache miss"), "key": ("string", "k1"), "attempts": ("int", 2)})]


def test_tracing(daemon, rust):
    d = daemon(*QUICK)
    said = rust("tracing", d.urls["OTLP gRPC"])
    stored(d, 3)
    spans = by_jaeger_v3(d, said["trace"])
    root, render, load = (spans[name] for name in ("GET /cart", "render", "load"))
    assert len(spans) == 3 and all(span["service"] == "shop" for span in spans.values())
    assert (root["id"], render["id"]) == (said["spans"]["GET /cart"], said["spans"]["render"])
    assert [root["parent"], render["parent"], load["parent"]] == ["", root["id"], render["id"]]
    assert [root["kind"], render["kind"], load["kind"]] == ["server", "internal", "client"]
    assert root["from"] <= render["from"] <= load["from"] <= load["to"] <= render["to"] <= root["to"]
    subset({"note": ("string", "\u20ac \u00fc"), "cached": ("bool", True), "rows": ("int", 42), "ratio": ("double", 0.25)},
           root["attributes"])
    ((_, name, told),) = root["events"]
    assert (name, told["level"], told["attempts"]) == ("cache miss", ("string", "INFO"), ("int", 2))
    assert render["links"] == [(said["trace"], root["id"], {})]
    assert load["attributes"]["key"] == ("string", "k1")
    assert load["status"] == {"code": 2, "message": "k1 timed out"} and root["status"] == render["status"] == {}
    ((_, name, told),) = load["events"]
    assert (name, told["exception.message"]) == ("exception", ("string", "k1 timed out"))


@pytest.mark.parametrize("way", ["udp", "otlp"])
def test_fastrace(daemon, rust, way):
    d = daemon(*QUICK)
    said = rust("fastrace", way, agent(d, "compact") if way == "udp" else otlp_url(d, "http"))
    stored(d, 3)
    spans = by_jaeger(d, said["trace"])
    root, load, connect = (spans[name] for name in ("GET /cart", "load", "connect"))
    assert len(spans) == 3 and all(span["service"] == "shop" for span in spans.values())
    assert root["references"] == [] and load["references"] == [("CHILD_OF", said["trace"], root["id"])]
    assert connect["references"] == [("CHILD_OF", said["trace"], load["id"])]
    assert root["from"] <= load["from"] <= connect["from"]
    assert connect["to"] <= load["to"] + 1 and load["to"] <= root["to"] + 1  # start and duration are rounded down, each for itself
    subset({"note": ("string", "\u20ac \u00fc"), "span.kind": ("string", "server")}, root["tags"])
    ((_, fields),) = root["logs"]
    assert fields == {"name" if way == "udp" else "event": ("string", "cache miss"), "key": ("string", "k1")}
    failed = {"span.status_code": ("string", "error"), "span.status_description": ("string", "timed out")}
    if way == "otlp":
        failed = {"error": ("bool", True), "otel.status_description": ("string", "timed out")}
    subset({"span.kind": ("string", "client"), **failed}, load["tags"])


# ---- What senders meet ----

def test_tls_and_a_token(daemon, rust, tmp_path):
    authority, tokens = Authority(tmp_path / "authority"), tmp_path / "tokens"
    tokens.write_text("sesame\n")
    d, start = daemon(*QUICK, *tls_settings(authority, f"auth.tokens={tokens}")), start_ms()
    variables = {**os.environ, "OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.ca)}
    url = d.urls["OTLP gRPC"]
    with pytest.raises(AssertionError, match="(?i)unauthenticated"):
        rust("otel", "grpc", url, start, env={**variables, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20guess"})
    poll(lambda: d.stat("spanmill_listener_requests_refused_total", reason="credentials_wrong") > 0, "it is refused")
    assert d.stat("spanmill_spans_received_total") == 0
    said = rust("otel", "grpc", url, start, env={**variables, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame"})
    stored(d, len(CART))
    check_by_jaeger_v3(d, said, start, CART_ATTRIBUTES, {"name": "cart.test", "version": "4.5.6"})
    assert d.stat("spanmill_tls_handshakes_failed_total") == 0


class Steady:
    """A program that makes a span of each line, and says whether it could send it."""

    def __init__(self, rust, *arguments):
        self.process = rust("otel", *arguments, "steady", stdin=subprocess.PIPE)

    def send(self, name):
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["sent"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def names(daemon):
    found = daemon.query("/api/traces?service=shop&limit=10")["data"]
    return sorted(span["operationName"] for trace in found for span in trace["spans"])


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_client_outlives_a_restart(daemon, rust, protocol):
    d = daemon(*QUICK)
    url = otlp_url(d, protocol)
    listener = "otlp_grpc" if protocol == "grpc" else "otlp_http"
    port = urllib.parse.urlsplit(url).netloc
    client = Steady(rust, protocol, url)
    try:
        assert client.send("before")
        assert d.end() == 0
        assert not client.send("lost")
        d = daemon(*QUICK, f"listen.{listener}={port}", again=d)
        assert client.send("after")
        poll(lambda: names(d) == ["after", "before"], "both spans, one of them from before the restart")
        assert d.stat("spanmill_spans_received_total") == 1
    finally:
        client.close()


# ---- Jaeger and Zipkin ----

@pytest.mark.parametrize("protocol", ["compact", "binary"])
@pytest.mark.parametrize("client", ["rustracing", "cf_rustracing"])
def test_opentracing(daemon, rust, client, protocol):
    d, start = daemon(*QUICK), start_ms()
    said = rust(client, protocol, agent(d, protocol), start)
    check_checkout(d, said, start, "128", left=("string", "0"), largest=("int", str(2**63 - 1)))


RATES = {
    "service_strategies": [{"service": "shop", "type": "probabilistic", "param": 0.25,
                            "operation_strategies": [{"operation": "GET /", "type": "probabilistic", "param": 1}]}],
    "default_strategy": {"type": "probabilistic", "param": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("service, operation, rate", [("shop", "load", 0.25), ("shop", "GET /", 1), ("mail", "deliver", 0.5)])
def test_opentelemetrys_sampler_asks(daemon, rust, tmp_path, service, operation, rate):
    file = tmp_path / "strategies.json"
    file.write_text(json.dumps(RATES))
    d = daemon(f"sampling.file={file}")
    said = rust("sampling", d.urls["Jaeger sampling"], service, operation, 4000)
    assert abs(said["sampled"] - 4000 * rate) <= 6 * (4000 * rate * (1 - rate)) ** 0.5


def test_zipkin(daemon, rust):
    d = daemon(*QUICK)
    check_order(d, rust("zipkin", zipkin_url(d, "v2")), shared=True)
