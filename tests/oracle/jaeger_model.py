"""Jaeger spans for tests: random ones, what Jaeger's UI gets to see of a span, and the wire formats.

A span is a dictionary of Jaeger's model: trace, id, parent (numbers; parent 0: none), name, refs [(type, trace, id)], flags, start, duration
(microseconds), tags [(key, value)], logs [(time, [(key, value)])]. A process is (service, tags). Values are of Python's types str, bool,
int, float, bytes."""
import base64
import json
import random
import struct

from schemas import jaeger as messages

MASK = (1 << 64) - 1
NOW_US = 1_764_000_000_000_000
KEYS = ("http.method", "http.status_code", "error", "span.kind", "peer.service", "otel.status_code", "otel.status_description", "ip",
        "sampler.type", "component", "event", "service.name", "w3c.tracestate", "\u20ac", "k" * 200, "with space")  # fmt: skip
TEXTS = ("", "a", "client", "server", "producer", "consumer", "internal", "other", "true", "false", "ERROR", "OK", "GET", "500", "\u20ac",
         "\U0001f600", 'quote"back\\slash\n', "nul\0in", "x" * 127, "y" * 300)  # fmt: skip
NUMBERS = (0, 1, -1, 200, 404, 503, 2**31, -(2**31), 2**53 - 1, 2**53, -(2**53), 2**63 - 1, -(2**63))
DOUBLES = (0.0, 1.5, -2.25, 1e300, 5e-324, 0.1, 503.0)
NAMES = ("op", "GET /cart", "\u00c4\u0416", "o" * 300, "")
SERVICES = ("shop", "Shop", "\u00c4\u0416", "data base", "s" * 100)


def random_value(rng):
    kind = rng.randrange(6)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.random() < 0.5
    if kind == 3:
        return rng.choice(NUMBERS)
    if kind == 4:
        return rng.choice(DOUBLES)
    return rng.choice((b"", b"\0", b"\xff\xfe", bytes(range(50))))


def random_tags(rng, most=12):
    return [(rng.choice(KEYS), random_value(rng)) for _ in range(rng.randrange(most))]


def random_span(rng, trace, span_id, ids):
    span = {"trace": trace, "id": span_id, "parent": 0, "name": rng.choice(NAMES), "flags": rng.choice((0, 1, 2, 3, 1, 255)),
            "start": rng.choice((0, 1, NOW_US, NOW_US + rng.randrange(10**8))), "duration": rng.choice((0, 1, rng.randrange(10**6))),
            "tags": random_tags(rng), "refs": [], "logs": []}  # fmt: skip
    if rng.random() < 0.6:
        span["parent"] = rng.choice([*ids, rng.randrange(1, 1 << 64)])
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        other = (rng.randrange(1 << 64) << 64) | rng.randrange(1, 1 << 64)
        span["refs"].append((rng.randrange(2), rng.choice((trace, trace, other)), rng.choice([*ids, rng.randrange(1, 1 << 64)])))
    for _ in range(rng.choice((0, 0, 1, 3))):
        span["logs"].append((NOW_US + rng.randrange(10**6), random_tags(rng, 5)))
    return span


def random_trace(rng, most=6):
    trace = rng.randrange(1, 1 << 64) | (rng.randrange(1, 1 << 64) << 64 if rng.random() < 0.5 else 0)
    ids = [rng.randrange(1, 1 << 64) for _ in range(rng.randrange(1, most + 1))]
    return [random_span(rng, trace, span_id, ids) for span_id in ids]


def random_process(rng):
    return rng.choice(SERVICES), [(k, v) for k, v in random_tags(rng, 4) if k != "service.name"]


# ---- what the UI gets ----


def ui_value(value):
    """Type and value of Jaeger's JSON."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int):
        return "int64", value if abs(value) < 1 << 53 else str(value)
    if isinstance(value, float):
        return "float64", value
    if isinstance(value, bytes):
        return "binary", base64.b64encode(value).decode()
    return "string", value


def ui_tags(tags):
    """Tags in canonical order."""
    made = [{"key": key, "type": ui_value(value)[0], "value": ui_value(value)[1]} for key, value in tags]
    return sorted(made, key=json.dumps)


def id_text(trace):
    return "%032x" % trace if trace >> 64 else "%016x" % trace


def references(span):
    """parentSpanId becomes the first reference, unless one says the same."""
    refs = list(span["refs"])
    if span["parent"] and not any(ref[1:] == (span["trace"], span["parent"]) for ref in refs):
        refs.insert(0, (0, span["trace"], span["parent"]))
    return refs


def without_parent(span):
    """The span as api_v2 has it, where references tell the parent."""
    return dict(span, refs=references(span), parent=0)


def ui_references(span):
    return [{"refType": ("CHILD_OF", "FOLLOWS_FROM")[t], "traceID": id_text(trace), "spanID": "%016x" % i} for t, trace, i in references(span)]


def ui_span(span, process):
    """What /api/traces/{id}?raw gives for it, with its process in place of the process's id."""
    return {
        "traceID": id_text(span["trace"]), "spanID": "%016x" % span["id"], "operationName": span["name"], "flags": span["flags"],
        "references": ui_references(span), "startTime": span["start"], "duration": span["duration"], "tags": ui_tags(span["tags"]),
        "logs": [{"timestamp": t, "fields": ui_tags(fields)} for t, fields in span["logs"]],
        "process": {"serviceName": process[0] or "unknown_service", "tags": ui_tags(process[1])},
    }  # fmt: skip


def sorted_tags(tags):
    def double(tag):  # 503.0 is written as 503
        return dict(tag, value=float(tag["value"])) if tag["type"] == "float64" else tag

    return sorted(map(double, tags), key=json.dumps)


def from_ui(trace):
    """A trace of the API as ui_span makes its spans, sorted."""
    out = []
    for span in trace["spans"]:
        process = trace["processes"][span["processID"]]
        made = {key: span[key] for key in ("traceID", "spanID", "operationName", "references", "startTime", "duration")}
        made.update(
            flags=span.get("flags", 0), tags=sorted_tags(span["tags"]),
            logs=[{"timestamp": log["timestamp"], "fields": sorted_tags(log["fields"])} for log in span["logs"]],
            process={"serviceName": process["serviceName"], "tags": sorted_tags(process["tags"])},
        )  # fmt: skip
        out.append(made)
    return sort_spans(out)


# ---- what api v3 gives: Jaeger's own translation to OTLP ----

KIND_NUMBERS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def otlp_value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    return {"stringValue": value}


def v3_span(span):
    """Ids, name, kind, times, attributes that no rule looks at, and links of the span in /api/v3/traces/{id}."""
    kinds = [v for k, v in span["tags"] if k == "span.kind" and isinstance(v, str) and v in KIND_NUMBERS]
    parent = span["parent"] if span["parent"] != span["id"] else 0
    if not parent:
        own = [r[2] for r in span["refs"] if r[0] == 0 and r[1] == span["trace"] and r[2] != span["id"]]
        parent = own[0] if own else 0
    links = sorted(("%032x" % r[1], "%016x" % r[2]) for r in references(span))
    if parent:
        links.remove(("%032x" % span["trace"], "%016x" % parent))
    return {"traceId": "%032x" % span["trace"], "spanId": "%016x" % span["id"], "parentSpanId": "%016x" % parent if parent else "",
            "name": span["name"], "kind": KIND_NUMBERS[kinds[0]] if kinds else 0, "startTimeUnixNano": span["start"] * 1000,
            "links": links, "events": [t * 1000 for t, _ in span["logs"]]}  # fmt: skip


def from_v3(document):
    out = []
    for resource_spans in document["result"]["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                out.append({
                    "traceId": span["traceId"], "spanId": span["spanId"], "parentSpanId": span.get("parentSpanId", ""),
                    "name": span.get("name", ""), "kind": span.get("kind", 0),
                    "startTimeUnixNano": int(span.get("startTimeUnixNano", 0)),
                    "links": sorted((link["traceId"], link["spanId"]) for link in span.get("links", [])),
                    "events": [int(event["timeUnixNano"]) for event in span.get("events", [])],
                })  # fmt: skip
    return sorted(out, key=lambda span: span["spanId"])


# ---- wire formats ----


def _signed(number):
    return struct.unpack(">q", struct.pack(">Q", number & MASK))[0]


def thrift_tag(key, value):
    from jaeger_client.thrift_gen.jaeger import ttypes

    if isinstance(value, bool):
        return ttypes.Tag(key=key, vType=2, vBool=value)
    if isinstance(value, int):
        return ttypes.Tag(key=key, vType=3, vLong=value)
    if isinstance(value, float):
        return ttypes.Tag(key=key, vType=1, vDouble=value)
    if isinstance(value, bytes):
        return ttypes.Tag(key=key, vType=4, vBinary=value)
    return ttypes.Tag(key=key, vType=0, vStr=value)


def thrift_batch(spans, process):
    from jaeger_client.thrift_gen.jaeger import ttypes

    def tags(pairs):
        return [thrift_tag(key, value) for key, value in pairs] or None

    made = [
        ttypes.Span(
            traceIdLow=_signed(s["trace"]), traceIdHigh=_signed(s["trace"] >> 64), spanId=_signed(s["id"]),
            parentSpanId=_signed(s["parent"]), operationName=s["name"], flags=s["flags"], startTime=s["start"], duration=s["duration"],
            references=[ttypes.SpanRef(t, _signed(trace), _signed(trace >> 64), _signed(i)) for t, trace, i in s["refs"]] or None,
            tags=tags(s["tags"]), logs=[ttypes.Log(t, tags(fields) or []) for t, fields in s["logs"]] or None,
        )
        for s in spans
    ]  # fmt: skip
    return ttypes.Batch(process=ttypes.Process(process[0], tags(process[1])), spans=made)


def _thrift(spans, process, protocol_class, message):
    from jaeger_client.thrift_gen.agent import Agent
    from thrift.Thrift import TMessageType
    from thrift.transport import TTransport

    out = TTransport.TMemoryBuffer()
    protocol = protocol_class(out)
    batch = thrift_batch(spans, process)
    if message:
        protocol.writeMessageBegin("emitBatch", TMessageType.ONEWAY, 0)
        Agent.emitBatch_args(batch).write(protocol)
        protocol.writeMessageEnd()
    else:
        batch.write(protocol)
    return out.getvalue()


def compact(spans, process):
    from thrift_bytes import Compact

    return _thrift(spans, process, Compact, True)


def binary(spans, process):
    from thrift_bytes import Binary

    return _thrift(spans, process, Binary, True)


def batch(spans, process):
    from thrift_bytes import Binary

    return _thrift(spans, process, Binary, False)


def _proto_tags(field, tags):
    for key, value in tags:
        made = field.add(key=key)
        for number, (kind, member) in enumerate(((str, "v_str"), (bool, "v_bool"), (int, "v_int64"), (float, "v_float64"), (bytes, "v_binary"))):
            if type(value) is kind:
                made.v_type = number
                setattr(made, member, value)


def proto(spans, process, own_processes=False):
    """PostSpansRequest; each span with its process instead of the batch's when asked."""
    request = messages["PostSpansRequest"]()
    for s in spans:
        made = request.batch.spans.add(
            trace_id=s["trace"].to_bytes(16, "big"), span_id=s["id"].to_bytes(8, "big"), operation_name=s["name"], flags=s["flags"]
        )
        for ref_type, trace, span_id in references(s):
            made.references.add(trace_id=trace.to_bytes(16, "big"), span_id=span_id.to_bytes(8, "big"), ref_type=ref_type)
        made.start_time.FromMicroseconds(s["start"])
        made.duration.FromMicroseconds(s["duration"])
        _proto_tags(made.tags, s["tags"])
        for time, fields in s["logs"]:
            log = made.logs.add()
            log.timestamp.FromMicroseconds(time)
            _proto_tags(log.fields, fields)
        if own_processes:
            made.process.service_name = process[0]
            _proto_tags(made.process.tags, process[1])
    if not own_processes:
        request.batch.process.service_name = process[0]
        _proto_tags(request.batch.process.tags, process[1])
    return request.SerializeToString()


# ---- reading what the official libraries read ----


def sort_spans(spans):
    return sorted(spans, key=lambda span: json.dumps(span, sort_keys=True))


def read_thrift(codec, data):
    """The Batch in a payload of one of our codecs; None when the message is another one."""
    from jaeger_client.thrift_gen.agent import Agent
    from jaeger_client.thrift_gen.jaeger import ttypes
    from thrift.transport import TTransport
    from thrift_bytes import Binary, Compact

    protocol = (Compact if codec == "jaeger_compact" else Binary)(TTransport.TMemoryBuffer(data))
    if codec == "jaeger_batch":
        batch = ttypes.Batch()
        batch.read(protocol)
    else:
        if protocol.readMessageBegin()[0] != "emitBatch":
            return None
        arguments = Agent.emitBatch_args()
        arguments.read(protocol)
        batch = arguments.batch
    validate(batch)
    return batch


def is_clean_thrift(codec, data):
    """True when the bytes are what the official runtime writes of what it reads in them."""
    from jaeger_client.thrift_gen.agent import Agent
    from thrift.Thrift import TMessageType
    from thrift.transport import TTransport
    from thrift_bytes import Binary, Compact

    out = TTransport.TMemoryBuffer()
    protocol = (Compact if codec == "jaeger_compact" else Binary)(out)
    batch = read_thrift(codec, data)
    if codec == "jaeger_batch":
        batch.write(protocol)
    else:
        protocol.writeMessageBegin("emitBatch", TMessageType.ONEWAY, 0)
        Agent.emitBatch_args(batch).write(protocol)
        protocol.writeMessageEnd()
    return out.getvalue() == data


def validate(thing):
    """Checks required fields all the way down, as other languages' generated code does while it reads."""
    if isinstance(thing, list):
        for item in thing:
            validate(item)
    elif hasattr(thing, "thrift_spec"):
        thing.validate()
        for value in vars(thing).values():
            validate(value)


def _unsigned(number):
    return (number or 0) & MASK


def _repaired(text):
    """Bytes that are part of no character leave as U+FFFD, one each."""
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in text or "")


def _thrift_value(tag):
    if tag.vType == 0:
        return _repaired(tag.vStr)
    if tag.vType not in range(5):
        return "unknown type"
    return {1: float(tag.vDouble or 0), 2: bool(tag.vBool), 3: tag.vLong or 0}.get(tag.vType, (tag.vBinary or "").encode(errors="surrogateescape"))


def from_thrift(batch):
    def tags(list_):
        return [(_repaired(tag.key), _thrift_value(tag)) for tag in list_ or []]

    process = (_repaired(batch.process.serviceName), tags(batch.process.tags))
    out = []
    for s in batch.spans:
        trace = _unsigned(s.traceIdHigh) << 64 | _unsigned(s.traceIdLow)
        refs = [(0 if r.refType == 0 else 1, _unsigned(r.traceIdHigh) << 64 | _unsigned(r.traceIdLow), _unsigned(r.spanId)) for r in s.references or []]
        out.append(ui_span({
            "trace": trace, "id": _unsigned(s.spanId), "parent": _unsigned(s.parentSpanId), "name": _repaired(s.operationName), "flags": (s.flags or 0) & 0xFFFFFFFF,
            "start": s.startTime, "duration": max(s.duration, 0), "tags": tags(s.tags), "refs": refs,
            "logs": [(log.timestamp, tags(log.fields)) for log in s.logs or []],
        }, process))  # fmt: skip
    return sort_spans(out)


def from_proto(request):
    def value(tag):
        return {0: tag.v_str, 1: tag.v_bool, 2: tag.v_int64, 3: tag.v_float64, 4: tag.v_binary}.get(tag.v_type, "unknown type")

    def tags(list_):
        return [(tag.key, value(tag)) for tag in list_]

    def micros(time):
        return (time.seconds * 10**9 + time.nanos) // 1000

    def number(text):
        return int.from_bytes(text, "big")

    out = []
    for s in request.batch.spans:
        owner = s.process if s.HasField("process") else request.batch.process
        out.append(ui_span({
            "trace": number(s.trace_id), "id": number(s.span_id), "parent": 0, "name": s.operation_name, "flags": s.flags,
            "start": micros(s.start_time), "duration": max(micros(s.duration), 0), "tags": tags(s.tags),
            "refs": [(int(r.ref_type != 0), number(r.trace_id), number(r.span_id)) for r in s.references],
            "logs": [(micros(log.timestamp), tags(log.fields)) for log in s.logs],
        }, (owner.service_name, tags(owner.tags))))  # fmt: skip
    return sort_spans(out)


def has_whole_references(request):
    """Whether the ids of references have the sizes of ids, or are not there."""
    return all(len(r.trace_id) in (0, 16) and len(r.span_id) in (0, 8) for span in request.batch.spans for r in span.references)


def rng_of(seed, name):
    return random.Random("%s %s" % (seed, name))
