"""Random OTLP requests of the official classes, and the OTLP JSON that they are."""
import json

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TEXTS = ("", "a", "GET /cart", "\u20ac", "\U0001f600", "x" * 127, "y" * 300, "nul\0in")
KEYS = ("http.method", "error", "peer.service", "\u20ac", "", "k" * 130)
NUMBERS = (0, 1, -1, 2**53, 2**63 - 1, -(2**63))
NOW_NS = 1_764_000_000_000_000_000


def fill_value(rng, value, depth=0):
    kind = rng.randrange(6 if depth > 3 else 8)
    if kind == 0:
        value.bool_value = rng.random() < 0.5
    elif kind == 1:
        value.int_value = rng.choice(NUMBERS)
    elif kind == 2:
        value.double_value = rng.choice((0.0, 1.5, -1e300, 5e-324))
    elif kind == 3:
        value.bytes_value = rng.choice((b"", b"\xff\0", bytes(range(40))))
    elif kind == 4 and rng.random() < 0.5:
        value.SetInParent()
    elif kind < 6:
        value.string_value = rng.choice(TEXTS)
    elif kind == 6:
        value.array_value.SetInParent()
        for _ in range(rng.randrange(4)):
            fill_value(rng, value.array_value.values.add(), depth + 1)
    else:
        value.kvlist_value.SetInParent()
        fill_attributes(rng, value.kvlist_value.values, depth + 1)


def fill_attributes(rng, attributes, depth=0):
    for _ in range(rng.randrange(5)):
        fill_value(rng, attributes.add(key=rng.choice(KEYS)).value, depth)


def fill_span(rng, span, trace_id):
    span.trace_id, span.span_id = trace_id, rng.randrange(1, 1 << 64).to_bytes(8, "big")
    span.trace_state = rng.choice(("", "", "a=b", "ot=th:8;rv:123456789abcde,c=d"))
    span.parent_span_id = rng.choice((b"", rng.randrange(1, 1 << 64).to_bytes(8, "big")))
    span.name, span.kind, span.flags = rng.choice(TEXTS), rng.randrange(6), rng.choice((0, 1, 0x301))
    span.start_time_unix_nano = rng.choice((0, 1, NOW_NS))
    span.end_time_unix_nano = rng.choice((0, span.start_time_unix_nano + rng.randrange(10**9)))
    fill_attributes(rng, span.attributes)
    span.dropped_attributes_count, span.dropped_events_count = rng.choice((0, 3)), rng.choice((0, 3))
    for _ in range(rng.choice((0, 0, 2))):
        fill_attributes(rng, span.events.add(time_unix_nano=rng.choice((0, NOW_NS)), name=rng.choice(TEXTS)).attributes)
    for _ in range(rng.choice((0, 0, 2))):
        fill_attributes(rng, span.links.add(trace_id=trace_id, span_id=b"12345678", trace_state="a=b").attributes)
    if rng.random() < 0.5:
        span.status.code, span.status.message = rng.randrange(3), rng.choice(TEXTS)


def random_request(rng):
    request = ExportTraceServiceRequest()
    for _ in range(rng.randrange(1, 3)):
        resource_spans = request.resource_spans.add(schema_url=rng.choice(("", "u")))
        fill_attributes(rng, resource_spans.resource.attributes)
        for _ in range(rng.randrange(1, 3)):
            scope_spans = resource_spans.scope_spans.add(schema_url=rng.choice(("", "s")))
            scope_spans.scope.name, scope_spans.scope.version = rng.choice(TEXTS), rng.choice(("", "1"))
            trace_id = rng.randrange(1, 1 << 128).to_bytes(16, "big")
            for _ in range(rng.randrange(3)):
                fill_span(rng, scope_spans.spans.add(), trace_id)
    return request


def as_json(request):
    """OTLP's JSON: as protobuf's, but for ids, which are hex, and enumerations, which are numbers."""
    document = json.loads(json_format.MessageToJson(request, use_integers_for_enums=True))
    for resource_spans, message in zip(document.get("resourceSpans", []), request.resource_spans):
        for scope_spans, of_scope in zip(resource_spans.get("scopeSpans", []), message.scope_spans):
            for span, of_span in zip(scope_spans.get("spans", []), of_scope.spans):
                span.update(traceId=of_span.trace_id.hex(), spanId=of_span.span_id.hex(), parentSpanId=of_span.parent_span_id.hex())
                for link, of_link in zip(span.get("links", []), of_span.links):
                    link.update(traceId=of_link.trace_id.hex(), spanId=of_link.span_id.hex())
    return document
