"""The OpenTelemetry Collector in front of spanmill: each of its exporters that can reach it, span for span, and what it does
when it is refused.

It is built with Go, so these run with SPANMILL_ALL=1, which `scripts/test --all` sets. With Kafka between the two:
test_kafka.py."""
import re
import urllib.parse

import pytest
import yaml

from clients import go, only_with_all  # fixtures
from conftest import QUICK, otlp, otlp_request, poll, post, run
from otelcol import RETRY, built, otelcol  # fixtures
from test_clients import (CART, WITH_LARGEST, by_jaeger, by_zipkin, check_by_jaeger_v3, check_by_zipkin, check_otel, start_ms,
                          stored, subset)  # fmt: skip
from test_door import authority, tls_settings
from test_settings import address, documented

pytestmark = only_with_all

PLAIN = {"insecure": True}


# name and settings of an exporter to a daemon


def to_grpc(daemon, **more):
    return {"otlp_grpc": {"endpoint": daemon.urls["OTLP gRPC"], "tls": PLAIN, **more}}


def to_http(daemon, **more):
    return {"otlp_http": {"endpoint": daemon.urls["OTLP HTTP"].removesuffix("/v1/traces"), **more}}


def to_zipkin(daemon, **more):
    return {"zipkin": {"endpoint": daemon.urls["Zipkin"], **more}}


OTLP = pytest.mark.parametrize("to, more", [(to_grpc, {}), (to_http, {}), (to_http, {"encoding": "json"})],
                               ids=["gRPC", "HTTP proto", "HTTP json"])
PACKED = [(to_grpc, {"compression": c}) for c in ("none", "gzip", "snappy", "zstd")] + [
    (to_http, {"encoding": e, "compression": c}) for e in ("proto", "json")
    for c in ("none", "gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4")]  # fmt: skip


@pytest.mark.parametrize("to, more", PACKED, ids=["-".join(more.values()) for _, more in PACKED])
def test_otlp(daemon, otelcol, go, to, more):
    d, start = daemon(*QUICK), start_ms()
    c = otelcol(to(d, **more))
    check_otel(d, go("otel", "grpc", c.grpc, start), start, WITH_LARGEST)


def everything(first):
    """A request with all that OTLP has, in traces whose ids begin with `first`, and what no SDK of these tests sends."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

    now = start_ms() * 1_000_000
    values = {
        "text": AnyValue(string_value="\u20ac\n\"\\\0"), "empty": AnyValue(string_value=""), "no": AnyValue(bool_value=False),
        "least": AnyValue(int_value=-(2**63)), "zero": AnyValue(int_value=0), "tiny": AnyValue(double_value=5e-324),
        "endless": AnyValue(double_value=float("-inf")), "bytes": AnyValue(bytes_value=b"\0\xff"), "nothing": AnyValue(),
        "list": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="a"),
                                                        AnyValue(array_value=ArrayValue())])),
        "map": AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(kvlist_value=KeyValueList()))])),
    }  # fmt: skip
    attributes = [KeyValue(key=key, value=value) for key, value in values.items()]
    trace = first + bytes(15)
    request = ExportTraceServiceRequest()
    one = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.30.0")
    one.resource.attributes.extend(attributes)
    one.resource.dropped_attributes_count = 1
    scope = one.scope_spans.add(schema_url="https://opentelemetry.io/schemas/1.31.0")
    scope.scope.name, scope.scope.version, scope.scope.dropped_attributes_count = "s", "1", 2
    scope.scope.attributes.extend(attributes)
    span = scope.spans.add(
        trace_id=trace, span_id=b"span no1", trace_state="ot=rv:6e6d1a75832a2f,vendor=x", name="all of it", kind=2, flags=0x301,
        start_time_unix_nano=now, end_time_unix_nano=now + 123_456_789, dropped_attributes_count=3, dropped_events_count=4,
        dropped_links_count=5, attributes=attributes)
    span.status.code, span.status.message = 2, "broken"
    span.events.add(time_unix_nano=now + 1, name="event", attributes=attributes, dropped_attributes_count=6)
    span.links.add(trace_id=trace, span_id=b"span no2", trace_state="a=b", attributes=attributes, dropped_attributes_count=7,
                   flags=0x100)
    bare = request.resource_spans.add().scope_spans.add()
    span = bare.spans.add(trace_id=trace, span_id=b"span no2", parent_span_id=b"span no1",
                          start_time_unix_nano=now, end_time_unix_nano=now)
    span.status.SetInParent()  # the collector sends one, empty or not
    return trace.hex(), request.SerializeToString()


def in_full(daemon, trace):
    """{span id: (span, scope, resource)} of Jaeger's third API, as it stands."""
    poll(lambda: len(daemon.stored_spans(int(trace, 16))) == 2, "both spans are stored")
    return {span["spanId"]: (span, {**of_scope, "spans": 0}, {**of_resource, "scopeSpans": 0})
            for of_resource in daemon.query(f"/api/v3/traces/{trace}")["result"]["resourceSpans"]
            for of_scope in of_resource["scopeSpans"] for span in of_scope["spans"]}  # fmt: skip


@OTLP
def test_nothing_of_a_span_is_lost(daemon, otelcol, to, more):
    """By the collector and straight to another daemon: the same comes back."""
    there, straight = daemon(*QUICK), daemon(*QUICK)
    trace, request = everything(b"\7")
    for url in otelcol(to(there, **more)).http, straight.urls["OTLP HTTP"]:
        assert post(url, request)[0] == 200
    assert in_full(there, trace) == in_full(straight, trace)
    span, scope, resource = in_full(there, trace)[b"span no1".hex()]
    assert len(span["attributes"]) == len(scope["scope"]["attributes"]) == len(resource["resource"]["attributes"]) == 11


@pytest.mark.parametrize("more", [{}, {"format": "proto"}, {"format": "json", "compression": "gzip"}],
                         ids=["json", "proto", "json+gzip"])
def test_zipkin(daemon, otelcol, go, more):
    """What Zipkin's format has no room for, the exporter writes into tags; they are left as they are."""
    d, start = daemon(*QUICK), start_ms()
    c = otelcol(to_zipkin(d, **more))
    said = go("otel", "grpc", c.grpc, start)
    stored(d, len(CART))
    check_by_zipkin(d, said, start, error="true", names='["a","b"]', zone="north")
    tags = {span["name"]: span["tags"] for span in by_zipkin(d, said["trace"])}
    subset({"otel.status_code": "STATUS_CODE_ERROR", "otel.status_description": "timed out"}, tags["load"])
    subset({"span.kind": "internal", "otel.status_code": "STATUS_CODE_OK"}, tags["render"])
    assert tags["deliver"]["otlp.link.0"].startswith(said["trace"] + "|" + said["spans"]["GET /cart"])
    jaeger = by_jaeger(d, said["trace"])
    for name, (_, kind, *_) in CART.items():
        assert jaeger[name.lower()]["tags"]["span.kind"] == ("string", kind)
    assert [name for name, span in jaeger.items() if "error" in span["tags"]] == ["load"]


# ---- what spanmill refuses ----


@pytest.mark.parametrize("to", [to_grpc, to_http, to_zipkin])
def test_it_comes_again_when_spanmill_is_overloaded(daemon, otelcol, to):
    """By OTLP after the second that it is told to wait, although by itself it would be back sooner."""
    d = daemon("memory.budget=16MiB", "memory.soft=60%", "windows.after_root=3s", "windows.idle=3s")
    c = otelcol(to(d, retry_on_failure=RETRY))
    fillers, patient = iter(range(1, 1_000_000)), []

    def refused():
        """Fills memory, and sends by the collector when it is full, until that is told so."""
        filler = otlp_request([{"trace": next(fillers), "id": i, "name": "x" * 60_000} for i in range(1, 9)])
        if post(d.urls["OTLP HTTP"], filler)[0] == 429:
            patient.append(len(patient) + (1 << 64))
            assert post(c.http, otlp((patient[-1], 1, 0, "patient")))[0] == 200
        return c.said("Exporting failed. Will retry")

    (first, *_) = poll(refused, "the collector is refused")
    assert first["interval"] == ("50ms" if to is to_zipkin else "1s"), first
    poll(lambda: [d.stored_spans(t) for t in patient] == [["patient"]] * len(patient), "all that it sent is stored", seconds=40)
    assert not c.said("Exporting failed. Dropping data")
    poll(lambda: d.check_balance() or True, "all is accounted for")


@OTLP
def test_it_is_told_of_spans_that_are_refused(daemon, otelcol, to, more):
    d = daemon(*QUICK)
    c = otelcol(to(d, **more))
    assert post(c.http, otlp((1, 1, 0, "one"), (1, 0, 1, "no id"), (1, 2, 1, "two")))[0] == 200
    ((line,)) = poll(lambda: c.said("Partial success response"), "it says so")
    assert line["dropped_spans"] == 1 and "span id" in line["message"], line
    poll(lambda: d.stored_spans(1) == ["one", "two"], "the others are stored")
    assert d.stat("spanmill_spans_received_total") == 3 and not c.said("Exporting failed")


@OTLP
def test_it_drops_what_is_too_large(daemon, otelcol, to, more):
    """At once: it would be too large again."""
    limits = "limits: {body_bytes_max: 4KiB, grpc_message_bytes_max: 4KiB}"
    d = daemon(*QUICK, f"listeners=[{{name: otlp_grpc, {limits}}}, {{name: otlp_http, {limits}}}]")
    c = otelcol(to(d, compression="none", retry_on_failure=RETRY, **more))
    assert post(c.http, otlp((1, 1, 0, "x" * 5000)))[0] == 200
    ((line,)) = poll(lambda: c.said("Exporting failed. Dropping data"), "it gives up")
    assert "not retryable" in line["error"] and line["dropped_items"] == 1, line
    assert not c.said("Exporting failed. Will retry")
    assert post(c.http, otlp((2, 1, 0, "smaller")))[0] == 200
    poll(lambda: d.stored_spans(2) == ["smaller"], "what comes later is stored")
    assert d.stat("spanmill_spans_received_total") == 1


@pytest.mark.parametrize("to, listener, protocol", [(to_grpc, "otlp_grpc", "OTLP gRPC"), (to_http, "otlp_http", "OTLP HTTP"),
                                                    (to_zipkin, "zipkin", "Zipkin")])  # fmt: skip
def test_it_waits_for_a_restart(daemon, otelcol, to, listener, protocol):
    d = daemon(*QUICK)
    c = otelcol(to(d, retry_on_failure=RETRY))
    assert post(c.http, otlp((1, 1, 0, "before")))[0] == 200
    poll(lambda: d.stored_spans(1) == ["before"], "the first is stored")
    assert d.end() == 0
    assert post(c.http, otlp((2, 1, 0, "between")))[0] == 200
    poll(lambda: c.said("Exporting failed. Will retry"), "it tries again")
    again = daemon(*QUICK, f"listen.{listener}={urllib.parse.urlsplit(d.urls[protocol]).netloc}", again=d)
    poll(lambda: again.stored_spans(2) == ["between"], "what came between is stored")
    assert again.stored_spans(1) == ["before"] and not c.said("Exporting failed. Dropping data")


# ---- settings ----


@pytest.mark.parametrize("exporter", ["otlp_grpc", "otlp_http"])
def test_settings_of_the_documentation(daemon, otelcol, exporter):
    d = daemon(*QUICK)
    block = documented("OpenTelemetry Collector, Grafana Alloy", "yaml collector")
    config = yaml.safe_load(re.sub(r"HOST:(\d+)", lambda match: address(d, match.group(1)), block))
    config["service"]["pipelines"]["traces"]["exporters"] = [exporter]
    c = otelcol(config["exporters"], processors={"batch": None}, service=config["service"])
    assert post(c.http, otlp((1, 1, 0, "documented")))[0] == 200
    poll(lambda: d.stored_spans(1) == ["documented"], "it is stored")
    assert not any("deprecated" in line["msg"] for line in c.log)


@pytest.mark.parametrize("to", [to_grpc, to_http, to_zipkin])
def test_certificates_and_a_token(daemon, otelcol, authority, tmp_path, to):
    (tmp_path / "tokens").write_text("open-sesame\n")
    d = daemon(*QUICK, *tls_settings(authority, f"tls.client_ca={authority.ca}", f"auth.tokens={tmp_path / 'tokens'}"))
    cert, key = authority.issue("client")
    tls = {"ca_file": str(authority.ca), "cert_file": str(cert), "key_file": str(key)}
    exporters = {
        **to(d, tls=tls, headers={"authorization": "Bearer open-sesame"}),
        **{f"{name}/ext": more for name, more in to(d, tls=tls, auth={"authenticator": "bearertokenauth"}).items()},
        **{f"{name}/wrong": more for name, more in to(d, tls=tls, headers={"authorization": "Bearer barley"}).items()},
    }
    pipelines = {f"traces/{i}": {"receivers": ["otlp"], "exporters": [name]} for i, name in enumerate(exporters)}
    c = otelcol(exporters, extensions={"bearertokenauth": {"token": "open-sesame"}},
                service={"extensions": ["bearertokenauth"], "pipelines": pipelines})
    assert post(c.http, otlp((1, 1, 0, "guarded")))[0] == 200
    poll(lambda: d.stored_spans(1) == ["guarded"], "it is stored")
    poll(lambda: d.stat("spanmill_spans_received_total") == 2, "by both")
    refused = lambda: {line["otelcol.component.id"] for line in c.said("Exporting failed")}  # noqa: E731
    poll(lambda: refused() == {next(iter(exporters)) + "/wrong"}, "the third is refused")


# ---- files ----


@pytest.mark.parametrize("format_", ["json", "proto"])
def test_followed_file(daemon, otelcol, go, tmp_path, format_):
    file, start = tmp_path / "spans", start_ms()
    d = daemon(*QUICK, f"files=[{{path: '{file}', from: start}}]")
    c = otelcol({"file": {"path": str(file), "format": format_, "flush_interval": "50ms"}})
    check_otel(d, go("otel", "grpc", c.grpc, start), start, WITH_LARGEST)


def test_files_that_it_rotates(daemon, otelcol, tmp_path):
    d = daemon(*QUICK, f"files=[{{path: '{tmp_path}/rotated/*.jsonl', from: start}}]")
    (tmp_path / "rotated").mkdir()
    c = otelcol({"file": {"path": f"{tmp_path}/rotated/spans.jsonl", "rotation": {"max_megabytes": 1}}})
    for trace in range(1, 41):
        assert post(c.http, otlp(*((trace, i, 0, f"{i}" + "x" * 1000) for i in range(1, 101))))[0] == 200
    poll(lambda: d.stat("spanmill_spans_received_total") == 4000, "all is read, once")
    assert len(list((tmp_path / "rotated").iterdir())) > 3
    poll(lambda: all(len(d.stored_spans(trace)) == 100 for trace in range(1, 41)), "all is stored")


@pytest.mark.parametrize("format_", ["json", "proto"])
@pytest.mark.parametrize("compression", ["", "zstd"])
def test_recorded_file(daemon, otelcol, go, tmp_path, format_, compression):
    """To the end, then replayed into a store."""
    file, start = tmp_path / "spans", start_ms()
    c = otelcol({"file": {"path": str(file), "format": format_, "compression": compression}})
    said = go("otel", "grpc", c.grpc, start)
    c.end()
    done = run("replay", "--into", tmp_path / "store", file)
    assert done.returncode == 0 and f"{len(CART)} received" in done.stdout, done
    check_by_jaeger_v3(daemon(f"store.path={tmp_path / 'store'}"), said, start, WITH_LARGEST, {"name": "cart.test"})
