"""Zipkin spans for tests: random ones, Zipkin's canonical form of a span, and the four wire formats.

A span is what Zipkin v2 JSON says, with `tags` and `annotations` as lists of pairs, since formats can repeat and order them."""
import ipaddress
import json
import random
import struct

from schemas import zipkin as messages

KINDS = ("CLIENT", "SERVER", "PRODUCER", "CONSUMER")
TEXTS = ("", "a", "GET /cart", "\u20ac", "\u00c4\u00d6 \u0416\u042f \u0394\u03a9", "\U0001f600", "line\nand\ttab", 'quote"back\\slash',
         "\u2028\u2029", "nul\0in", "\x7f\x80", "\ufeff", "x" * 127, "y" * 128, "z" * 300, "true", "false", "null", "[1]", "{}")  # fmt: skip
NAMES = ("", "get", "GET", "Get /Cart", "\u00c4\u00d6", "\u0416\u042f", "\u0394\u03a9", "shop", "Shop", "data base", "x" * 200)
KEYS = ("http.method", "http.status_code", "error", "peer.service", "service.name", "otel.status_code", "span.kind", "lc", "sa", "x",
        "\u20ac", "component", "sampling.priority", "network.peer.address", "w3c.tracestate", "A" * 200, "with space")  # fmt: skip
VALUES = TEXTS + ("200", "500", "ERROR", "OK", "client", "proxy", "1", "0", "10.0.0.1", "ot=th:8")
ADDRESSES = ("1.2.3.4", "255.255.255.255", "127.0.0.1", "::1", "2001:db8::c001", "fe80::1", "::ffff:43.0.192.2", "::1.2.3.4")
NOW_US = 1_764_000_000_000_000


def maybe(rng, one_in=2):
    return rng.randrange(one_in) == 0


def random_endpoint(rng):
    endpoint = {}
    if maybe(rng, 5) is False:
        endpoint["serviceName"] = rng.choice(NAMES)
    for key in ("ipv4", "ipv6"):
        if maybe(rng):
            endpoint[key] = rng.choice([a for a in ADDRESSES if (":" in a) == (key == "ipv6")])
    if maybe(rng):
        endpoint["port"] = rng.choice((0, 1, 80, 9411, 32768, 65535))
    return endpoint


def random_time(rng):
    return rng.choice((0, 1, NOW_US, NOW_US + rng.randrange(10**9), NOW_US + rng.randrange(10**6), 2**53 + 1))


def random_span(rng, trace_id, span_id, ids):
    """One span; `ids` are others of its trace."""
    span = {"traceId": trace_id, "id": span_id}
    if maybe(rng):
        span["parentId"] = rng.choice([*ids, span_id, "%016x" % rng.randrange(1, 1 << 64)])
    if not maybe(rng, 4):
        span["kind"] = rng.choice(KINDS)
    if not maybe(rng, 4):
        span["name"] = rng.choice(NAMES)
    if not maybe(rng, 4):
        span["timestamp"] = random_time(rng)
    if not maybe(rng, 4):
        span["duration"] = rng.choice((0, 1, 7, rng.randrange(10**6), 2**40))
    for side in ("localEndpoint", "remoteEndpoint"):
        if not maybe(rng, 3):
            span[side] = random_endpoint(rng)
    span["annotations"] = [(max(random_time(rng), 1), rng.choice(TEXTS[1:])) for _ in range(rng.choice((0, 0, 1, 3)))]
    if span["annotations"] and maybe(rng, 3):
        span["annotations"].append(span["annotations"][0])
    span["tags"] = [(rng.choice(KEYS), rng.choice(VALUES)) for _ in range(rng.choice((0, 1, 3, 8, 20)))]
    for flag in ("debug", "shared"):
        if maybe(rng):
            span[flag] = maybe(rng)
    return span


def random_trace(rng, spans_max=6):
    """Spans of one trace. No two have the same id, but for a shared server half now and then."""
    wide = maybe(rng)
    trace_id = "%016x" % rng.randrange(1, 1 << 64)
    if wide:
        trace_id = "%016x" % rng.randrange(1, 1 << 64) + trace_id
    ids = ["%016x" % rng.randrange(1, 1 << 64) for _ in range(rng.randrange(1, spans_max + 1))]
    spans = [random_span(rng, trace_id, span_id, ids) for span_id in ids]
    if maybe(rng, 3):
        half = random_span(rng, trace_id, ids[0], ids)
        spans[0].update(kind="CLIENT", localEndpoint={"serviceName": "caller"}, shared=False)
        half.update(kind="SERVER", localEndpoint={"serviceName": "callee"}, shared=True)
        spans.append(half)
    return spans


# ---- canonical form ----


def canonical_endpoint(endpoint):
    out = {}
    if endpoint and endpoint.get("serviceName"):
        out["serviceName"] = endpoint["serviceName"].lower()
    for key in ("ipv4", "ipv6"):
        text = endpoint and endpoint.get(key)
        if not text:
            continue
        address = ipaddress.ip_address(text)
        if address.version == 6 and address.ipv4_mapped:
            address = address.ipv4_mapped
        elif address.version == 6 and int(address) < 1 << 32 and int(address) >> 8:
            address = ipaddress.IPv4Address(int(address))
        out["ipv%d" % address.version] = str(address)
    if endpoint and endpoint.get("port"):
        out["port"] = endpoint["port"]
    return out


def canonical(span):
    """The span as zipkin2's Span.Builder makes it, as a dictionary that == compares. Takes lists of pairs as well as JSON."""
    tags, annotations = span.get("tags", []), span.get("annotations", [])
    pairs = [(a["timestamp"], a["value"]) if isinstance(a, dict) else tuple(a) for a in annotations]
    pairs = [(max(timestamp, 0), value) for timestamp, value in pairs]  # before 1970 is no time
    trace_id = span["traceId"].lower().rjust(16, "0")
    out = {
        "traceId": trace_id[-16:] if len(trace_id) > 16 and int(trace_id[:-16], 16) == 0 else trace_id.rjust(32 if len(trace_id) > 16 else 16, "0"),
        "id": span["id"].rjust(16, "0"),
        "parentId": (span.get("parentId") or "").rjust(16, "0"),
        "kind": span.get("kind"),
        "name": (span.get("name") or "").lower(),
        "timestamp": max(span.get("timestamp") or 0, 0),
        "duration": max(span.get("duration") or 0, 0),
        "localEndpoint": canonical_endpoint(span.get("localEndpoint")),
        "remoteEndpoint": canonical_endpoint(span.get("remoteEndpoint")),
        "annotations": sorted(set(pairs)),
        "tags": dict(tags),
        "debug": bool(span.get("debug")),
        "shared": bool(span.get("shared")) and span.get("kind") != "CLIENT",
    }  # fmt: skip
    if out["parentId"] == out["id"] or int(out["parentId"], 16) == 0:
        out["parentId"] = ""
    return {key: value for key, value in out.items() if value}


def canonical_list(spans):
    return sorted((canonical(span) for span in spans), key=lambda span: json.dumps(span, sort_keys=True))


# ---- wire formats ----


def _object(pairs, ascii_only):
    """A JSON object that may repeat a key."""
    text = [json.dumps(k, ensure_ascii=ascii_only) + ":" + json.dumps(v, ensure_ascii=ascii_only) for k, v in pairs]
    return "{" + ",".join(text) + "}"


def v2_json(spans, ascii_only=False):
    texts = []
    for span in spans:
        members = []
        for key, value in span.items():
            if key == "tags":
                text = _object(value, ascii_only)
            elif key == "annotations":
                text = json.dumps([{"timestamp": t, "value": v} for t, v in value], ensure_ascii=ascii_only)
            else:
                text = json.dumps(value, ensure_ascii=ascii_only)
            members.append(json.dumps(key) + ":" + text)
        texts.append("{" + ",".join(members) + "}")
    return ("[" + ",".join(texts) + "]").encode()


def _proto_endpoint(message, endpoint):
    message.service_name = endpoint.get("serviceName", "")
    for key in ("ipv4", "ipv6"):
        if endpoint.get(key):
            setattr(message, key, ipaddress.ip_address(endpoint[key]).packed)
    message.port = endpoint.get("port", 0)


def v2_proto(spans):
    out = messages["ListOfSpans"]()
    for span in spans:
        made = out.spans.add(
            trace_id=bytes.fromhex(span["traceId"]), id=bytes.fromhex(span["id"]), parent_id=bytes.fromhex(span.get("parentId", "")),
            kind=KINDS.index(span["kind"]) + 1 if span.get("kind") else 0, name=span.get("name", ""),
            timestamp=span.get("timestamp", 0), duration=span.get("duration", 0),
            debug=span.get("debug", False), shared=span.get("shared", False),
        )  # fmt: skip
        for side, message in (("localEndpoint", made.local_endpoint), ("remoteEndpoint", made.remote_endpoint)):
            if side in span:
                message.SetInParent()
                _proto_endpoint(message, span[side])
        for timestamp, value in span["annotations"]:
            made.annotations.add(timestamp=timestamp, value=value)
        for key, value in span["tags"]:
            made.tags.add(key=key, value=value)
    return out.SerializeToString()


CORE = {"CLIENT": ("cs", "cr", "sa"), "SERVER": ("sr", "ss", "ca"), "PRODUCER": ("ms", "ws", "ma"), "CONSUMER": ("wr", "mr", "ma")}


def fit_for_v1(span):
    """The span with what version 1 can say of it, exactly and back: it has a service, its times are both there or neither."""
    core = set(sum(CORE.values(), ())) | {"lc"}
    span = dict(span, tags=[(k, v) for k, v in dict(span["tags"]).items() if k not in core])
    span["localEndpoint"] = dict(span.get("localEndpoint", {}), serviceName=span.get("localEndpoint", {}).get("serviceName") or "v1")
    span["timestamp"], span["duration"] = span.get("timestamp") or NOW_US, span.get("duration") or 1
    span["shared"] = bool(span.get("shared")) and span.get("kind") == "SERVER"
    span["annotations"] = [a for a in span["annotations"] if a[1] not in core]
    local, remote = canonical_endpoint(span["localEndpoint"]), canonical_endpoint(span.get("remoteEndpoint"))
    if "kind" not in span or not remote or local.get("serviceName") == remote.get("serviceName"):
        span.pop("remoteEndpoint", None)
    return span


def v1_parts(span):
    """Annotations (time, value), tags and addresses (key, value or True, endpoint is remote) of version 1 for a v2 span, after
    zipkin2's V2SpanConverter."""
    annotations, binary = list(span["annotations"]), [(k, v, False) for k, v in span["tags"]]
    if span.get("kind"):
        first, last, address = CORE[span["kind"]]
        annotations += [(span["timestamp"], first), (span["timestamp"] + span["duration"], last)]
        if span.get("remoteEndpoint"):
            binary.append((address, True, True))
    elif not annotations and not binary:
        binary.append(("lc", "", False))
    return annotations, binary


def v1_json(spans, ascii_only=False):
    out = []
    for span in spans:
        local, remote = span.get("localEndpoint"), span.get("remoteEndpoint")
        annotations, binary = v1_parts(span)
        made = {key: span[key] for key in ("traceId", "id", "parentId", "name", "debug") if key in span}
        if not span.get("shared"):
            made.update(timestamp=span["timestamp"], duration=span["duration"])
        made["annotations"] = [{"timestamp": t, "value": v, "endpoint": local} for t, v in annotations]
        made["binaryAnnotations"] = [{"key": k, "value": v, "endpoint": remote if is_remote else local} for k, v, is_remote in binary]
        out.append(made)
    return json.dumps(out, ensure_ascii=ascii_only).encode()


def _thrift_endpoint(endpoint):
    from jaeger_client.thrift_gen.zipkincore import ttypes

    canonical_one = canonical_endpoint(endpoint)
    port = canonical_one.get("port", 0)
    return ttypes.Endpoint(
        service_name=endpoint.get("serviceName", ""),
        ipv4=int.from_bytes(ipaddress.ip_address(canonical_one.get("ipv4", "0.0.0.0")).packed, "big", signed=True),
        ipv6=ipaddress.ip_address(canonical_one["ipv6"]).packed if "ipv6" in canonical_one else None,
        port=port - 65536 if port > 32767 else port,
    )


def signed(hex_digits):
    return struct.unpack(">q", bytes.fromhex(hex_digits))[0]


def v1_thrift(spans):
    """A list of spans of the binary protocol, written by the official runtime."""
    from jaeger_client.thrift_gen.zipkincore import ttypes
    from thrift.Thrift import TType
    from thrift.transport import TTransport
    from thrift_bytes import Binary

    out = TTransport.TMemoryBuffer()
    protocol = Binary(out)
    protocol.writeListBegin(TType.STRUCT, len(spans))
    for span in spans:
        local = _thrift_endpoint(span["localEndpoint"])
        remote = _thrift_endpoint(span.get("remoteEndpoint", {}))
        annotations, binary = v1_parts(span)
        made = ttypes.Span(
            trace_id=signed(span["traceId"][-16:]), trace_id_high=signed(span["traceId"][:-16]) if len(span["traceId"]) > 16 else None,
            id=signed(span["id"]), parent_id=signed(span["parentId"]) if "parentId" in span else None, name=span.get("name", ""),
            debug=span.get("debug", False),
            timestamp=None if span.get("shared") else span["timestamp"], duration=None if span.get("shared") else span["duration"],
            annotations=[ttypes.Annotation(t, v, local) for t, v in annotations],
            binary_annotations=[
                ttypes.BinaryAnnotation(k, b"\1" if v is True else v.encode(), 0 if v is True else 6, remote if is_remote else local)
                for k, v, is_remote in binary
            ],
        )  # fmt: skip
        made.write(protocol)
    protocol.writeListEnd()
    return out.getvalue()


FORMATS = {  # path, content type, writer
    "v2 JSON": ("/api/v2/spans", "application/json", v2_json),
    "v2 JSON in ASCII": ("/api/v2/spans", "application/json", lambda spans: v2_json(spans, ascii_only=True)),
    "v2 protobuf": ("/api/v2/spans", "application/x-protobuf", v2_proto),
    "v1 JSON": ("/api/v1/spans", "application/json", v1_json),
    "v1 thrift": ("/api/v1/spans", "application/x-thrift", v1_thrift),
}


def is_clean_thrift(data):
    """True when the bytes are what thrift's own runtime writes of what it reads in them, and all values are texts or addresses. With
    others zipkin2 goes on where the runtime gives up, or passes over what we take."""
    from jaeger_client.thrift_gen.zipkincore import ttypes
    from thrift.transport import TTransport
    from thrift_bytes import Binary

    buffer = TTransport.TMemoryBuffer(data)
    protocol = Binary(buffer)
    element, count = protocol.readListBegin()
    out = TTransport.TMemoryBuffer()
    again = Binary(out)
    again.writeListBegin(element, count)
    for _ in range(count):
        span = ttypes.Span()
        span.read(protocol)
        span.write(again)
        if any(b.annotation_type != 6 and b.key not in ("sa", "ca", "ma") for b in span.binary_annotations or []):
            return False
    return element == 12 and out.getvalue() == data


def v1_is_odd(data):
    """True for v1 JSON of which we make more than zipkin2: values and keys that are not texts, which it passes over, and trace ids of
    which it takes the last 16 digits unless there are 32; and for times before 1970, which are none to us and odd ones to it."""
    try:
        spans = json.loads(data.decode(errors="replace"), strict=False)
    except ValueError:
        return False
    spans = [span for span in spans if isinstance(span, dict)]
    binary = [b for span in spans for b in span.get("binaryAnnotations") or []]
    odd = [b for b in binary if not isinstance(b.get("key"), str) or not isinstance(b.get("value"), str) and b["key"] not in ("sa", "ca", "ma")]
    return bool(odd) or any(isinstance(b.get("value"), str) and b["key"] in ("sa", "ca", "ma") for b in binary) or any(
        16 < len(str(span.get("traceId"))) < 32 or is_early(span) for span in spans)


def has_endpoint_twice(data):
    """True when an object has one member of this kind more than once."""

    class Twice(Exception):
        pass

    def check(members):
        keys = [key for key, _ in members if key.endswith("Endpoint")]
        if len(keys) != len(set(keys)):
            raise Twice
        return dict(members)

    try:
        json.loads(data.decode(errors="replace"), object_pairs_hook=check)
    except Twice:
        return True
    return False


def is_early(v1_span):
    times = [v1_span.get("timestamp"), v1_span.get("duration"), *(a.get("timestamp") for a in v1_span.get("annotations") or [])]
    return any(isinstance(time, int) and time < 0 for time in times)


def rng_of(seed, name):
    return random.Random("%s %s" % (seed, name))


# ---- version 1, as clients may write it ----

CORE_VALUES = ("cs", "cr", "sr", "ss", "ms", "mr", "ws", "wr")


def random_v1_span(rng):
    """A span of version 1 with any mixture of annotations. Endpoints are indices: few of them, so that parts share one."""
    endpoints = [random_endpoint(rng) for _ in range(rng.randrange(1, 4))] + [None]
    span = {"traceId": "%016x" % rng.randrange(1, 1 << 64), "id": "%016x" % rng.randrange(1, 1 << 64)}
    if maybe(rng, 3):
        span["traceId"] = "%016x" % rng.randrange(1, 1 << 64) + span["traceId"]
    if maybe(rng):
        span["parentId"] = "%016x" % rng.randrange(1, 1 << 64)
    span["name"] = rng.choice(NAMES)
    if maybe(rng):
        span["timestamp"] = rng.choice((0, NOW_US, NOW_US + 5))
    if maybe(rng):
        span["duration"] = rng.choice((0, 5, 10))
    if maybe(rng, 4):
        span["debug"] = maybe(rng)
    values = [rng.choice(CORE_VALUES if maybe(rng) else TEXTS[1:]) for _ in range(rng.randrange(6))]
    span["annotations"] = [(NOW_US + rng.randrange(12), value, rng.choice(endpoints)) for value in values]
    span["binaryAnnotations"] = []
    for _ in range(rng.randrange(5)):
        key = rng.choice(("sa", "ca", "ma", "lc", "error", "http.path", "http.method"))
        value = True if key in ("sa", "ca", "ma") and not maybe(rng, 5) else "" if key == "lc" and maybe(rng) else rng.choice(TEXTS)
        # a text as an address without an endpoint takes another address away at zipkin2, which means nothing
        span["binaryAnnotations"].append((key, value, rng.choice(endpoints[:1] if key in ("sa", "ca", "ma") and value is not True else endpoints)))
    return span


def raw_v1_json(spans):
    out = []
    for span in spans:
        made = {k: v for k, v in span.items() if k not in ("annotations", "binaryAnnotations")}
        made["annotations"] = [
            dict({"timestamp": t, "value": v}, **({"endpoint": e} if e is not None else {})) for t, v, e in span["annotations"]
        ]
        made["binaryAnnotations"] = [
            dict({"key": k, "value": v}, **({"endpoint": e} if e is not None else {})) for k, v, e in span["binaryAnnotations"]
        ]
        out.append(made)
    return json.dumps(out, ensure_ascii=False).encode()


def raw_v1_thrift(spans):
    from jaeger_client.thrift_gen.zipkincore import ttypes
    from thrift.Thrift import TType
    from thrift.transport import TTransport
    from thrift_bytes import Binary

    out = TTransport.TMemoryBuffer()
    protocol = Binary(out)
    protocol.writeListBegin(TType.STRUCT, len(spans))
    for span in spans:
        ttypes.Span(
            trace_id=signed(span["traceId"][-16:]), trace_id_high=signed(span["traceId"][:-16]) if len(span["traceId"]) > 16 else None,
            id=signed(span["id"]), parent_id=signed(span["parentId"]) if "parentId" in span else None, name=span["name"],
            debug=span.get("debug"), timestamp=span.get("timestamp"), duration=span.get("duration"),
            annotations=[ttypes.Annotation(t, v, _thrift_endpoint(e) if e is not None else None) for t, v, e in span["annotations"]],
            binary_annotations=[
                ttypes.BinaryAnnotation(k, b"\1" if v is True else v.encode(), 0 if v is True else 6,
                                        _thrift_endpoint(e) if e is not None else None)
                for k, v, e in span["binaryAnnotations"]
            ],
        ).write(protocol)  # fmt: skip
    protocol.writeListEnd()
    return out.getvalue()
