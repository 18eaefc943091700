"""The cart's trace by OpenTelemetry's last exporters to Jaeger and Zipkin:  otel.py EXPORTER ADDRESS START_MS
EXPORTER: jaeger-udp HOST:PORT, jaeger-http URL, jaeger-grpc HOST:PORT, zipkin-v1-json URL, zipkin-v2-json URL, zipkin-proto URL.
Prints {"trace": id, "spans": {name: id}}."""
import json
import os
import sys

os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

EXPORTER, ADDRESS, START = sys.argv[1], sys.argv[2], int(sys.argv[3]) * 1_000_000


def exporter():
    if EXPORTER in ("jaeger-udp", "jaeger-http"):
        from opentelemetry.exporter.jaeger.thrift import JaegerExporter

        if EXPORTER == "jaeger-http":
            return JaegerExporter(collector_endpoint=ADDRESS)
        host, port = ADDRESS.split(":")
        return JaegerExporter(agent_host_name=host, agent_port=int(port))
    if EXPORTER == "jaeger-grpc":
        from opentelemetry.exporter.jaeger.proto.grpc import JaegerExporter

        return JaegerExporter(collector_endpoint=ADDRESS, insecure=True)
    from opentelemetry.exporter.zipkin.json import Protocol, ZipkinExporter as Json
    from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter as Proto

    if EXPORTER == "zipkin-proto":
        return Proto(endpoint=ADDRESS, local_node_ipv4="10.0.0.1", local_node_port=80)
    version = Protocol.V1 if EXPORTER == "zipkin-v1-json" else Protocol.V2
    return Json(version, endpoint=ADDRESS, local_node_ipv4="10.0.0.1", local_node_port=80, max_tag_value_length=128)


def provider(service):
    made = TracerProvider(resource=Resource({"service.name": service, "service.version": "1.2.3", "zone": "north", "replicas": 3}))
    made.add_span_processor(BatchSpanProcessor(exporter()))
    return made


SPANS = {}


def span(tracer, parent, name, kind, begin, end, attributes=None, fill=None, links=()):
    above = trace.set_span_in_context(parent) if parent else None
    made = tracer.start_span(name, above, kind, attributes, links, start_time=START + begin * 1_000_000)
    if fill:
        fill(made)
    made.end(START + end * 1_000_000)
    SPANS[name] = f"{made.get_span_context().span_id:016x}"
    return made


def fail(made):
    told = {"exception.type": "TimeoutError", "exception.message": "timed out"}
    made.add_event("exception", told, START + 59_000_000)
    made.set_status(Status(StatusCode.ERROR, "timed out"))


shop_provider, mail_provider = provider("shop"), provider("mail")
shop, mail = shop_provider.get_tracer("cart.test", "4.5.6"), mail_provider.get_tracer("mail.test")
ORDERS = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
root = span(shop, None, "GET /cart", SpanKind.SERVER, 0, 250, {
    "http.request.method": "GET", "note": "\u20ac \u00fc \u6f22", "cached": True, "rows": 42, "negative": -7, "ratio": 0.25,
    "names": ["a", "b"],
}, lambda made: made.add_event("cache miss", {"key": "k1", "attempts": 2}, START + 5_000_000))
span(shop, root, "load", SpanKind.CLIENT, 10, 60, {"db.system.name": "postgresql", "server.address": "db"}, fail)
publish = span(shop, root, "publish", SpanKind.PRODUCER, 70, 75, ORDERS)
deliver = span(mail, publish, "deliver", SpanKind.CONSUMER, 100, 200, ORDERS, links=[Link(root.get_span_context(), {"reason": "batch"})])
span(mail, deliver, "render", SpanKind.INTERNAL, 120, 150, fill=lambda made: made.set_status(Status(StatusCode.OK)))
shop_provider.shutdown()
mail_provider.shutdown()
print(json.dumps({"trace": f"{root.get_span_context().trace_id:032x}", "spans": SPANS}))
