"""The OpenTelemetry Python SDK with its own exporters, through spanmill, to an OTLP sink: span for span the same."""
import grpc
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from conftest import QUICK, poll


def make_spans():
    """Two traces from two services: kinds, events, links, errors, every attribute type, text that is not ASCII."""
    memory = InMemorySpanExporter()

    def tracer(service):
        provider = TracerProvider(resource=Resource.create({"service.name": service}))
        provider.add_span_processor(SimpleSpanProcessor(memory))
        return provider.get_tracer("e2e", "1.0")

    shop, cart = tracer("shop"), tracer("k\u00f6rbchen")
    with shop.start_as_current_span("GET /cart", kind=trace.SpanKind.SERVER) as root:
        root.set_attributes({"s": "\u20ac", "i": -(2**63), "b": True, "d": 0.5, "l": [1, 2], "empty": ""})
        with shop.start_as_current_span("call", kind=trace.SpanKind.CLIENT) as call:
            with cart.start_as_current_span("load", kind=trace.SpanKind.SERVER) as load:
                load.add_event("cache miss", {"key": "x"})
                load.set_status(trace.Status(trace.StatusCode.ERROR, "no such cart"))
            call.record_exception(ValueError("bad"))
    with shop.start_as_current_span("consume", context=trace.set_span_in_context(trace.INVALID_SPAN),
                                    links=[trace.Link(root.get_span_context())], kind=trace.SpanKind.CONSUMER):
        pass
    return memory.get_finished_spans()


def as_set(resource_spans):
    """What identifies the content of a span and where it belongs."""
    return {
        (next(a.value.string_value for a in rs.resource.attributes if a.key == "service.name"), ss.scope.name, s.SerializeToString())
        for rs in resource_spans
        for ss in rs.scope_spans
        for s in ss.spans
    }


def exporter(daemon, kind):
    if kind == "grpc":
        return GrpcExporter(endpoint=daemon.urls["OTLP gRPC"], insecure=True)
    if kind.startswith("grpc-"):
        compression = {"grpc-gzip": grpc.Compression.Gzip, "grpc-deflate": grpc.Compression.Deflate}[kind]
        return GrpcExporter(endpoint=daemon.urls["OTLP gRPC"], insecure=True, compression=compression)
    compression = {"http": Compression.NoCompression, "http-gzip": Compression.Gzip, "http-deflate": Compression.Deflate}[kind]
    return HttpExporter(endpoint=daemon.urls["OTLP HTTP"], compression=compression)


@pytest.mark.parametrize("kind", ["grpc", "grpc-gzip", "grpc-deflate", "http", "http-gzip", "http-deflate"])
def test_sdk_to_sink(daemon, collector, kind):
    sink = collector()
    d = daemon(*QUICK, sink.sink())
    spans = make_spans()
    client = exporter(d, kind)
    assert client.export(spans) is SpanExportResult.SUCCESS
    client.shutdown()
    sink.wait(len(spans))
    sent = as_set(encode_spans(spans).resource_spans)
    got = {(attributes["service.name"], scope, span.SerializeToString()) for attributes, scope, span in sink.spans}
    assert got == sent
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="collector") == len(spans), "delivery is counted")
    assert d.stat("spanmill_traces_decided_total", verdict="kept") == 2
    d.check_balance()
    assert d.end() == 0

def test_metrics_and_graph_before_sampling(daemon):
    """Nothing is kept, everything is counted."""
    d = daemon(*QUICK, "rules=[{name: none, drop: true}]")
    client = exporter(d, "http")
    assert client.export(make_spans()) is SpanExportResult.SUCCESS
    client.shutdown()
    poll(lambda: d.stat("traces_spanmetrics_calls_total", service="shop", span_name="GET /cart") == 1, "span metrics")
    poll(lambda: d.stat("traces_service_graph_request_total", client="shop") == 1, "service graph")
    assert d.stat("traces_service_graph_request_failed_total", client="shop") == 1
    assert d.stat("spanmill_spans_sampled_out_total") == 4
    d.check_balance()


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_read_back_through_jaegers_api(daemon, kind):
    d = daemon(*QUICK)
    spans = make_spans()
    client = exporter(d, kind)
    assert client.export(spans) is SpanExportResult.SUCCESS
    client.shutdown()
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == len(spans), "all are stored")
    root = next(span for span in spans if span.name == "GET /cart")
    (found,) = d.query(f"/api/traces/{root.context.trace_id:032x}")["data"]
    by_name = {span["operationName"]: span for span in found["spans"]}
    assert set(by_name) == {"GET /cart", "call", "load"}
    services = {span["operationName"]: found["processes"][span["processID"]]["serviceName"] for span in found["spans"]}
    assert services == {"GET /cart": "shop", "call": "shop", "load": "k\u00f6rbchen"}
    for span in spans:
        if span.name not in by_name:
            continue
        got = by_name[span.name]
        assert got["spanID"] == f"{span.context.span_id:016x}"
        assert got["startTime"] == span.start_time // 1000
        parents = [r["spanID"] for r in got["references"] if r["refType"] == "CHILD_OF"]
        assert parents == ([f"{span.parent.span_id:016x}"] if span.parent else [])
    tags = {tag["key"]: tag["value"] for tag in by_name["GET /cart"]["tags"]}
    assert tags["s"] == "\u20ac" and tags["b"] is True and tags["d"] == 0.5 and tags["span.kind"] == "server"
    assert {tag["key"]: tag["value"] for tag in by_name["load"]["tags"]}["error"] is True
    assert len(by_name["load"]["logs"]) == 1
    assert set(d.query("/api/services")["data"]) == {"k\u00f6rbchen", "shop"}
    (searched,) = d.query("/api/traces?service=shop&operation=GET%20%2Fcart&lookback=1h&limit=20")["data"]
    assert searched["traceID"] == found["traceID"]
