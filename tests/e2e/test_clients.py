"""Clients in other languages, from tests/clients/, through spanmill and back through its query APIs, span for span.

They need Go, a JDK with Maven, Node.js, and packages from their registries, so they run with SPANMILL_ALL=1, which
`scripts/test --all` sets."""
import base64
import json
import os
import time
import urllib.parse

import pytest

from clients import go, java, node, old_python, only_with_all  # fixtures
from conftest import QUICK, get, poll

pytestmark = only_with_all


def start_ms():
    """When a trace is said to have begun."""
    return time.time_ns() // 1_000_000 - 1000


def stored(daemon, count):
    poll(lambda: daemon.stat("spanmill_sink_spans_delivered_total", sink="store") == count, f"{count} spans are stored")
    assert daemon.stat("spanmill_spans_received_total") == count
    assert daemon.stat("spanmill_spans_rejected_total") == 0
    daemon.check_balance()


# ---- OpenTelemetry ----

# name: (service, kind, parent, from, to), milliseconds after the start
CART = {
    "GET /cart": ("shop", "server", None, 0, 250),
    "load": ("shop", "client", "GET /cart", 10, 60),
    "publish": ("shop", "producer", "GET /cart", 70, 75),
    "deliver": ("mail", "consumer", "publish", 100, 200),
    "render": ("mail", "internal", "deliver", 120, 150),
}
MESSAGING = {"messaging.system": ("string", "kafka"), "messaging.destination.name": ("string", "orders")}
ATTRIBUTES = {
    "GET /cart": {
        "http.request.method": ("string", "GET"), "note": ("string", "\u20ac \u00fc \u6f22"), "cached": ("bool", True),
        "rows": ("int", 42), "negative": ("int", -7), "ratio": ("double", 0.25), "names": ("array", [("string", "a"), ("string", "b")]),
        "sizes": ("array", [("int", 1), ("int", 2)]), "flags": ("array", [("bool", True), ("bool", False)]),
    },
    "load": {"db.system.name": ("string", "postgresql"), "server.address": ("string", "db")},
    "publish": MESSAGING,
    "deliver": MESSAGING,
    "render": {},
}
RESOURCE = {"service.version": ("string", "1.2.3"), "zone": ("string", "north"), "replicas": ("int", 3)}
OTLP_KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
JAEGER_TYPES = {"string": "string", "bool": "bool", "int64": "int", "float64": "double", "binary": "bytes"}


def otlp_value(value):
    """(type, value) of an AnyValue in OTLP's JSON."""
    (member, content), = value.items()
    if member == "arrayValue":
        return "array", [otlp_value(one) for one in content.get("values", [])]
    if member == "kvlistValue":
        return "map", otlp_values(content.get("values", []))
    reader = {"stringValue": str, "boolValue": bool, "intValue": int, "doubleValue": float, "bytesValue": base64.b64decode}
    return member.removesuffix("Value"), reader[member](content)


def otlp_values(list_):
    return {one["key"]: otlp_value(one["value"]) for one in list_}


def by_jaeger_v3(daemon, trace):
    """{name: span} of Jaeger's third API, which has all that OTLP has."""
    spans = {}
    for of_resource in daemon.query(f"/api/v3/traces/{trace}")["result"]["resourceSpans"]:
        resource = otlp_values(of_resource["resource"]["attributes"])
        for of_scope in of_resource["scopeSpans"]:
            for span in of_scope["spans"]:
                spans[span["name"]] = {
                    "resource": resource, "service": resource["service.name"][1], "scope": of_scope.get("scope", {}),
                    "id": span["spanId"], "parent": span.get("parentSpanId", ""), "kind": OTLP_KINDS[span["kind"]],
                    "from": int(span["startTimeUnixNano"]), "to": int(span["endTimeUnixNano"]),
                    "attributes": otlp_values(span.get("attributes", [])), "status": span.get("status", {}),
                    "events": [(int(e["timeUnixNano"]), e["name"], otlp_values(e.get("attributes", [])))
                               for e in span.get("events", [])],
                    "links": [(one["traceId"], one["spanId"], otlp_values(one.get("attributes", [])))
                              for one in span.get("links", [])],
                }
    return spans


def as_jaeger_has_it(typed):
    """Jaeger's first API has lists as JSON in a string, and integers that JavaScript has no room for in a string, too."""
    kind, value = typed
    if kind == "array":
        return "string", json.dumps([one for _, one in value], separators=(",", ":"))
    return (kind, str(value)) if kind == "int" and abs(value) >= 2**53 else typed


def jaeger_values(list_):
    return {one["key"]: (JAEGER_TYPES[one["type"]], one["value"]) for one in list_}


def by_jaeger(daemon, trace):
    """{name: span} of Jaeger's first API."""
    (found,) = daemon.query(f"/api/traces/{trace}")["data"]
    spans = {}
    for span in found["spans"]:
        process = found["processes"][span["processID"]]
        spans[span["operationName"]] = {
            "service": process["serviceName"], "process": jaeger_values(process["tags"]), "id": span["spanID"],
            "references": [(one["refType"], one["traceID"], one["spanID"]) for one in span["references"]],
            "from": span["startTime"], "to": span["startTime"] + span["duration"], "tags": jaeger_values(span["tags"]),
            "logs": [(log["timestamp"], jaeger_values(log["fields"])) for log in span["logs"]],
        }
    return spans


def by_zipkin(daemon, trace):
    """[span] of Zipkin's API, by both of its ports."""
    path = f"/api/v2/trace/{trace}"
    found = daemon.query(path)
    assert found == json.loads(get(daemon.urls["Zipkin"].removesuffix("/api/v2/spans") + path))
    return found


def subset(part, whole):
    assert {key: whole.get(key) for key in part} == part


def check_by_jaeger_v3(daemon, said, start, attributes, scope):
    spans = by_jaeger_v3(daemon, said["trace"])
    assert set(spans) == set(CART)
    for name, (service, kind, parent, from_ms, to_ms) in CART.items():
        span, base = spans[name], start * 1_000_000
        assert (span["service"], span["kind"], span["id"]) == (service, kind, said["spans"][name])
        assert span["parent"] == (said["spans"][parent] if parent else "")
        assert (span["from"] - base, span["to"] - base) == (from_ms * 1_000_000, to_ms * 1_000_000)
        assert span["attributes"] == attributes[name]
        subset(RESOURCE, span["resource"])
    root, load, deliver, render = (spans[name] for name in ("GET /cart", "load", "deliver", "render"))
    assert root["events"] == [((start + 5) * 1_000_000, "cache miss", {"key": ("string", "k1"), "attempts": ("int", 2)})]
    assert deliver["links"] == [(said["trace"], root["id"], {"reason": ("string", "batch")})]
    assert load["status"] == {"code": 2, "message": "timed out"} and render["status"] == {"code": 1} and root["status"] == {}
    ((at, name, told),) = load["events"]
    assert (at, name, told["exception.message"]) == ((start + 59) * 1_000_000, "exception", ("string", "timed out"))
    assert {key: root["scope"].get(key) for key in scope} == scope


def check_by_jaeger(daemon, said, start, attributes):
    spans = by_jaeger(daemon, said["trace"])
    assert set(spans) == set(CART)
    for name, (service, kind, parent, from_ms, to_ms) in CART.items():
        span = spans[name]
        assert (span["service"], span["id"]) == (service, said["spans"][name])
        assert span["tags"]["span.kind"] == ("string", kind)
        assert span["references"][:1] == ([("CHILD_OF", said["trace"], said["spans"][parent])] if parent else [])
        assert (span["from"], span["to"]) == ((start + from_ms) * 1000, (start + to_ms) * 1000)
        subset({key: as_jaeger_has_it(value) for key, value in attributes[name].items()}, span["tags"])
        subset(RESOURCE, span["process"])
        assert ("error" in span["tags"]) == (name == "load")
    assert spans["deliver"]["references"][1:] == [("FOLLOWS_FROM", said["trace"], said["spans"]["GET /cart"])]
    subset({"error": ("bool", True), "otel.status_description": ("string", "timed out")}, spans["load"]["tags"])
    assert spans["GET /cart"]["logs"] == [
        ((start + 5) * 1000, {"event": ("string", "cache miss"), "key": ("string", "k1"), "attempts": ("int", 2)})]
    assert spans["load"]["logs"][0][1]["event"] == ("string", "exception")


def check_by_zipkin(daemon, said, start, kinds=True, error="timed out", **more):
    spans = {span["name"]: span for span in by_zipkin(daemon, said["trace"])}
    assert set(spans) == {name.lower() for name in CART}
    for name, (service, kind, parent, from_ms, to_ms) in CART.items():
        span = spans[name.lower()]
        assert span["localEndpoint"]["serviceName"] == service
        assert span.get("kind", "INTERNAL") == (kind.upper() if kinds else "INTERNAL")
        assert (span["id"], span.get("parentId")) == (said["spans"][name], said["spans"].get(parent))
        assert (span["timestamp"], span["duration"]) == ((start + from_ms) * 1000, (to_ms - from_ms) * 1000)
        assert span.get("tags", {}).get("error") == (error if name == "load" else None)
    subset({"cached": "true", "rows": "42", "ratio": "0.25", **more}, spans["get /cart"]["tags"])
    assert spans["get /cart"]["annotations"][0]["timestamp"] == (start + 5) * 1000


def check_otel(daemon, said, start, attributes=ATTRIBUTES, scope=None):
    """The cart's trace, as the SDK was told to make it."""
    stored(daemon, len(CART))
    check_by_jaeger_v3(daemon, said, start, attributes, scope or {"name": "cart.test", "version": "4.5.6"})
    check_by_jaeger(daemon, said, start, attributes)
    check_by_zipkin(daemon, said, start, names='["a","b"]')
    edges = {("shop", "db"), ("shop", "kafka/orders"), ("kafka/orders", "mail")}
    poll(lambda: {(e["parent"], e["child"]) for e in daemon.query("/api/graph")["edges"]} == edges, "the graph")


def otlp_url(daemon, protocol):
    if protocol.startswith("grpc"):
        return daemon.urls["OTLP gRPC"]
    return daemon.urls["OTLP HTTP"].removesuffix("/v1/traces") + "/v1/traces"


@pytest.mark.parametrize("protocol", ["grpc", "grpc+gzip", "http/protobuf", "http/protobuf+gzip", "http/json", "http/json+gzip"])
def test_opentelemetry_javascript(daemon, node, protocol):
    d, start = daemon(*QUICK), start_ms()
    check_otel(d, node("otel.js", protocol, otlp_url(d, protocol), start), start)


WITH_LARGEST = {**ATTRIBUTES, "GET /cart": {**ATTRIBUTES["GET /cart"], "largest": ("int", 2**63 - 1)}}


@pytest.mark.parametrize("protocol", ["grpc", "grpc+gzip", "http/protobuf", "http/protobuf+gzip"])
def test_opentelemetry_go(daemon, go, protocol):
    d, start = daemon(*QUICK), start_ms()
    check_otel(d, go("otel", protocol, otlp_url(d, protocol), start), start, WITH_LARGEST)


@pytest.mark.parametrize("protocol", ["grpc", "grpc+gzip", "http/protobuf", "http/protobuf+gzip", "http/protobuf+jdk"])
def test_opentelemetry_java(daemon, java, protocol):
    d, start = daemon(*QUICK), start_ms()
    check_otel(d, java("Otel", protocol, otlp_url(d, protocol), start), start, WITH_LARGEST)


@pytest.mark.parametrize("language", ["go", "node"])
def test_opentelemetry_by_zipkins_exporter(daemon, language, request):
    d, start = daemon(*QUICK), start_ms()
    client, program = request.getfixturevalue(language), {"go": "otel", "node": "otel.js"}[language]
    said = client(program, "zipkin", zipkin_url(d, "v2"), start)
    stored(d, len(CART))
    check_by_zipkin(d, said, start)


@pytest.mark.parametrize("exporter", ["zipkin-v1-json", "zipkin-v2-json", "zipkin-proto"])
def test_opentelemetry_python_by_zipkins_exporters(daemon, old_python, exporter):
    d, start = daemon(*QUICK), start_ms()
    said = old_python("otel.py", exporter, zipkin_url(d, exporter[7:9] if "json" in exporter else "v2"), start)
    stored(d, len(CART))
    check_by_zipkin(d, said, start, kinds="v1" not in exporter, names='["a","b"]')


@pytest.mark.parametrize("exporter", ["jaeger-udp", "jaeger-http", "jaeger-grpc"])
def test_opentelemetry_python_by_jaegers_exporters(daemon, old_python, exporter):
    d, start = daemon(*QUICK), start_ms()
    where = {"jaeger-udp": agent(d, "compact"), "jaeger-http": d.urls["Jaeger HTTP"],
             "jaeger-grpc": urllib.parse.urlsplit(d.urls["Jaeger gRPC"]).netloc}
    said = old_python("otel.py", exporter, where[exporter], start)
    stored(d, len(CART))
    spans = by_jaeger(d, said["trace"])
    assert set(spans) == set(CART)
    for name, (service, kind, parent, from_ms, to_ms) in CART.items():
        span = spans[name]
        assert (span["service"], span["id"], span["tags"]["span.kind"]) == (service, said["spans"][name], ("string", kind))
        links = [("FOLLOWS_FROM", said["trace"], said["spans"]["GET /cart"])] if name == "deliver" else []
        assert span["references"] == ([("CHILD_OF", said["trace"], said["spans"][parent])] if parent else []) + links
        for at, ms in (span["from"], from_ms), (span["to"], to_ms):
            late = (start + ms) * 1000 - at  # by gRPC start and duration are fractions of a second, rounded down
            assert 0 <= late <= (2 if exporter == "jaeger-grpc" else 0)
        subset({key: value for key, value in ATTRIBUTES[name].items() if value[0] != "array"}, span["tags"])
        subset(RESOURCE, span["tags"])
        assert span["tags"].get("error") == (("bool", True) if name == "load" else None)
    ((_, fields),) = spans["GET /cart"]["logs"]
    assert fields == {"key": ("string", "k1"), "attempts": ("int", 2), "message": ("string", "cache miss")}


# ---- Jaeger's clients ----

# name: (service, operation, kind, (reference, to), from, to)
CHECKOUT = {
    "POST /checkout": ("shop", "POST /checkout", "server", None, 0, 100),
    "reserve": ("shop", "reserve", "client", ("CHILD_OF", "POST /checkout"), 10, 90),
    "serve": ("stock", "serve", "server", ("CHILD_OF", "reserve"), 20, 80),
    "notify": ("shop", "notify", None, ("FOLLOWS_FROM", "POST /checkout"), 100, 110),
}


def agent(daemon, protocol):
    return urllib.parse.urlsplit(daemon.urls[f"Jaeger UDP {protocol}"]).netloc


def check_checkout(daemon, said, start, bits, whole="int", left=None, **more):
    """The checkout, as a Jaeger client was told to make it; `whole`: the type of its whole numbers; `left`: how logs have them."""
    stored(daemon, len(CHECKOUT))
    trace = said["trace"].rjust(32 if bits == "128" else 16, "0")
    spans = by_jaeger(daemon, trace)
    assert set(spans) == set(CHECKOUT)
    for name, (service, operation, kind, reference, from_ms, to_ms) in CHECKOUT.items():
        span = spans[operation]
        assert (span["service"], span["id"]) == (service, said["spans"][name])
        assert span["tags"].get("span.kind") == (kind and ("string", kind))
        assert span["references"] == ([(reference[0], trace, said["spans"][reference[1]])] if reference else [])
        assert (span["from"], span["to"]) == ((start + from_ms) * 1000, (start + to_ms) * 1000)
        assert ("error" in span["tags"]) == (name == "serve")
        subset({"zone": ("string", "north")}, span["process"])
    tags = {"note": ("string", "\u20ac \u00fc"), "gift": ("bool", True), "items": (whole, 3), "total": ("double", 19.5), **more}
    subset(tags, spans["POST /checkout"]["tags"])
    assert spans["serve"]["tags"]["error"] == ("bool", True)
    ((at, fields),) = spans["serve"]["logs"]
    assert at == (start + 70) * 1000
    assert fields == {"event": ("string", "error"), "message": ("string", "sold out"), "left": left or (whole, 0)}
    zipkin = {span["name"]: span for span in by_zipkin(daemon, trace)}
    assert set(zipkin) == {operation.lower() for _, operation, _, _, _, _ in CHECKOUT.values()}
    assert zipkin["serve"]["parentId"] == zipkin["reserve"]["id"] and "error" in zipkin["serve"]["tags"]
    edge = {"parent": "shop", "child": "stock", "callCount": 1, "errorCount": 1}
    dependencies = "/api/v2/dependencies?endTs=9999999999999&lookback=9999999999999"
    poll(lambda: daemon.query(dependencies) == [edge], "the call is in the graph")


@pytest.mark.parametrize("bits", ["64", "128"])
@pytest.mark.parametrize("transport", ["udp", "http"])
def test_jaeger_go(daemon, go, transport, bits):
    d, start = daemon(*QUICK), start_ms()
    where = agent(d, "compact") if transport == "udp" else d.urls["Jaeger HTTP"]
    said = go("jaeger", transport, where, start, bits)
    check_checkout(d, said, start, bits, largest=("int", str(2**63 - 1)), raw=("bytes", "AP8="))


@pytest.mark.parametrize("bits", ["64", "128"])
@pytest.mark.parametrize("transport", ["udp", "http"])
def test_jaeger_node(daemon, node, transport, bits):
    d, start = daemon(*QUICK), start_ms()
    where = agent(d, "binary") if transport == "udp" else d.urls["Jaeger HTTP"]
    check_checkout(d, node("jaeger.js", transport, where, start, bits), start, bits, whole="double")


@pytest.mark.parametrize("bits", ["64", "128"])
@pytest.mark.parametrize("transport", ["udp", "http"])
def test_jaeger_java(daemon, java, transport, bits):
    d, start = daemon(*QUICK), start_ms()
    host, port = agent(d, "compact").split(":")
    where = {"JAEGER_AGENT_HOST": host, "JAEGER_AGENT_PORT": port}
    if transport == "http":
        where = {"JAEGER_ENDPOINT": d.urls["Jaeger HTTP"]}
    variables = {**where, "JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "1", "JAEGER_TAGS": "zone=north"}
    if bits == "128":
        variables["JAEGER_TRACEID_128BIT"] = "true"
    said = java("Jaeger", start, env={**os.environ, **variables})
    check_checkout(d, said, start, bits, largest=("int", str(2**63 - 1)))


# ---- Zipkin's clients ----

# name: (service, kind, parent, from, duration)
ORDER = {
    "post /checkout": ("shop", "SERVER", None, 0, 100),
    "reserve": ("shop", "CLIENT", "post /checkout", 10, 80),
    "serve": ("stock", "SERVER", "reserve", 20, 60),
    "send": ("shop", "PRODUCER", "post /checkout", 91, 1),
    "render": ("shop", None, "post /checkout", 93, 4),
}
SHOP = {"serviceName": "shop", "ipv4": "10.0.0.1", "port": 80}
ENDPOINTS = {
    "local": {"shop": SHOP, "stock": {"serviceName": "stock", "ipv4": "10.0.0.2", "port": 8080}},
    "remote": {"post /checkout": {"ipv4": "192.0.2.9", "port": 50000},
               "send": {"serviceName": "kafka", "ipv4": "10.0.0.9", "port": 9092}},
}


def zipkin_url(daemon, version):
    return daemon.urls["Zipkin"].removesuffix("/api/v2/spans") + f"/api/{version}/spans"


def check_order(daemon, said, shared, start=None, stock=None, without=(), caller=True):
    """The order, as a Zipkin client was told to make it; `shared`: both halves of the call have one id. Without a start the
    client took its own times."""
    expected = {name: span for name, span in ORDER.items() if name not in without}
    stored(daemon, len(expected))
    found = by_zipkin(daemon, said["trace"])
    spans = {span["name"]: span for span in found}
    assert set(spans) == set(expected) and len(found) == len(expected)
    local = {**ENDPOINTS["local"], **({"stock": stock} if stock else {})}
    remote = {**ENDPOINTS["remote"], **({} if caller else {"post /checkout": None})}
    for name, (service, kind, parent, from_ms, ms) in expected.items():
        span = spans[name]
        assert (span["traceId"], span["id"], span.get("kind")) == (said["trace"], said["spans"][name], kind)
        assert span["localEndpoint"] == local[service] and span.get("remoteEndpoint") == remote.get(name)
        assert span["timestamp"] > 0 and span["duration"] > 0
        assert not start or (span["timestamp"], span["duration"]) == ((start + from_ms) * 1000, ms * 1000)
        assert span.get("shared", False) == (shared and name == "serve")
        assert span.get("tags", {}).get("error") == ("sold out" if name == "serve" else None)
        if not (shared and name == "serve"):
            assert span.get("parentId") == (said["spans"][parent] if parent else None)
    assert (spans["serve"]["id"] == spans["reserve"]["id"]) == shared
    assert spans["post /checkout"]["tags"]["note"] == "\u20ac \u00fc"
    assert [one["value"] for one in spans["post /checkout"]["annotations"]] == ["validated"]

    jaeger = by_jaeger(daemon, said["trace"])
    assert {name: span["service"] for name, span in jaeger.items()} == {name: span[0] for name, span in expected.items()}
    assert jaeger["serve"]["references"][0][2] == jaeger["reserve"]["id"] != jaeger["serve"]["id"]
    edges = {("shop", "stock", 1, 1)} | ({("shop", "kafka", 1, 0)} if "send" in expected else set())

    def found_edges():
        return {(e["parent"], e["child"], e["callCount"], e.get("errorCount", 0)) for e in daemon.query("/api/graph")["edges"]}

    poll(lambda: found_edges() == edges, "the graph")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_zipkin_javascript(daemon, node, version):
    d = daemon(*QUICK)
    check_order(d, node("zipkin.js", version, zipkin_url(d, version)), shared=True, without=("render",))


@pytest.mark.parametrize("ids", ["shared", "own"])
@pytest.mark.parametrize("encoding", ["json", "proto3", "grpc"])
def test_zipkin_go(daemon, go, encoding, ids):
    d, start = daemon(*QUICK), start_ms()
    said = go("zipkin", encoding, zipkin_url(d, "v2"), start, ids)
    check_order(d, said, ids == "shared", start, {"serviceName": "stock", "ipv6": "2001:db8::2", "port": 8080})


@pytest.mark.parametrize("compression", ["plain", "gzip"])
@pytest.mark.parametrize("encoding", ["JSON_V2", "PROTO3", "JSON_V1", "THRIFT"])
def test_brave(daemon, java, encoding, compression):
    d, start = daemon(*QUICK), start_ms()
    version = "v1" if encoding in ("JSON_V1", "THRIFT") else "v2"
    check_order(d, java("Brave", encoding, zipkin_url(d, version), start, compression), True, start)


def test_py_zipkin_by_thrift(daemon, old_python):
    d = daemon(*QUICK)
    check_order(d, old_python("py_zipkin_thrift.py", zipkin_url(d, "v1")), shared=True, without=("send", "render"), caller=False)
