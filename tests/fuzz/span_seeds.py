#!/usr/bin/env python3
"""Writes starting points for the targets that read spans, recordings and stored records: they are checked in, and
tests/fuzz/span_seeds.py tests/fuzz/corpus writes them again."""
import gzip
import os
import struct
import sys

ONE_SPAN = bytes.fromhex(
    "0a550a170a150a0c736572766963652e6e616d6512050a03737663123a12380a100102030405060708090a0b0c0d0e0f10120801020304050607082a"
    "026f7030023900ca9a3b000000004188dd9a3b000000007a021802"
)
PARTIAL = bytes.fromhex("0a0a08011206626164206964")
STATUS = bytes.fromhex(
    "080e120a6f7665726c6f616465641a300a28747970652e676f6f676c65617069732e636f6d2f676f6f676c652e7270632e5265747279496e666f12040a"
    "020805"
)
JSON = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"}]}]}]}'
ZIPKIN = b'[{"traceId":"1","id":"2","kind":"CLIENT","timestamp":1,"duration":2,"localEndpoint":{"serviceName":"a","ipv4":"1.2.3.4"}}]'


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed64(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def attribute(key, value):
    return field(1, key) + field(2, value)


def rich_span():
    values = [field(1, b"text"), field(2, 1), field(3, 2**63), fixed64(4, 0x7FF0000000000000), field(7, b"\0\xff"), b"",
              field(5, field(1, field(1, b"a")) + field(1, field(3, 7))), field(6, field(1, attribute(b"k", field(2, 0))))]
    span = field(1, bytes(range(1, 17))) + field(2, bytes(range(8))) + field(3, b"ot=th:8;rv:123456789abcde,a=b")
    span += field(4, bytes(range(1, 9))) + field(5, "n\u00e4me".encode()) + field(6, 3) + fixed64(7, 10**18) + fixed64(8, 10**18 + 5)
    span += b"".join(field(9, attribute(b"key%d" % i, v)) for i, v in enumerate(values)) + field(10, 1)
    span += field(11, fixed64(1, 10**18) + field(2, b"event") + field(3, attribute(b"a", values[0])))
    span += field(13, field(1, bytes(range(1, 17))) + field(2, bytes(range(1, 9))) + field(3, b"a=b"))
    span += field(15, field(2, b"message") + field(3, 2)) + varint(16 << 3 | 5) + struct.pack("<I", 0x301)
    scope = field(1, b"lib") + field(2, b"1.0")
    resource = field(1, attribute(b"service.name", field(1, b"svc")))
    return field(1, field(1, resource) + field(2, field(1, scope) + field(2, span) + field(3, b"s")) + field(3, b"u"))


def zstd(message):
    """A frame with one raw block."""
    return bytes.fromhex("28b52ffd20") + bytes([len(message)]) + (len(message) << 3 | 1).to_bytes(3, "little") + message


def framed(message):
    return struct.pack(">I", len(message)) + message


def record(request, rule=b"errors", span_count=1):
    """A stored record: its header, the rule's name, TracesData."""
    head = struct.pack("<HBB", 80 + len(rule), 1, 1) + struct.pack(">QQ", 0, 7) + struct.pack("<QQqQ", 10**9, 10**9 + 5000, 10**18, 0)
    head += struct.pack(">Q", 99) + struct.pack("<IIHHI", span_count, 0, 0, len(rule), 0)
    return struct.pack("<I", 4 + len(head) + len(rule) + len(request)) + head + rule + request


def zipkin_proto_span(id_bytes):
    endpoint = field(1, b"Svc") + field(2, b"\1\2\3\4") + field(3, bytes(15) + b"\1") + field(4, 9411)
    span = field(1, bytes(range(1, 17))) + field(2, bytes(range(1, 9))) + field(3, id_bytes) + field(4, 2) + field(5, b"GET")
    span += fixed64(6, 10**15) + field(7, 5) + field(8, endpoint) + field(9, endpoint)
    span += field(10, fixed64(1, 10**15) + field(2, b"event")) + field(11, field(1, b"error") + field(2, b"true"))
    span += field(11, field(1, b"component") + field(2, b"proxy")) + field(11, field(1, b"node_id") + field(2, b"n"))
    return field(1, span + field(12, 1) + field(13, 1))


def thrift_field(type_id, number, value):
    return struct.pack(">BH", type_id, number) + value


def thrift_text(number, text):
    return thrift_field(11, number, struct.pack(">I", len(text)) + text)


def thrift_list(number, items):
    return thrift_field(15, number, struct.pack(">BI", 12, len(items)) + b"".join(item + b"\0" for item in items))


def zipkin_thrift():
    host = thrift_field(8, 1, b"\1\2\3\4") + thrift_field(6, 2, b"\x24\xc3") + thrift_text(3, b"Svc") + thrift_text(4, bytes(15) + b"\1")
    annotations = [thrift_field(10, 1, struct.pack(">Q", 10**15 + i)) + thrift_text(2, value) + thrift_field(12, 3, host + b"\0")
                   for i, value in enumerate((b"cs", b"sr", b"ss", b"cr", b"event"))]
    values = [(b"error", b"true", 6), (b"sa", b"\1", 0), (b"n", b"\0\0\0\1", 3), (b"d", b"\x3f\xe0" + bytes(6), 5), (b"b", b"\xff", 1)]
    tags = [thrift_text(1, key) + thrift_text(2, value) + thrift_field(8, 3, struct.pack(">I", kind)) + thrift_field(12, 4, host + b"\0")
            for key, value, kind in values]
    span = thrift_field(10, 1, bytes(7) + b"\1") + thrift_text(3, b"GET") + thrift_field(10, 4, bytes(7) + b"\2")
    span += thrift_field(10, 5, bytes(7) + b"\3") + thrift_list(6, annotations) + thrift_list(8, tags) + thrift_field(2, 9, b"\1")
    span += thrift_field(10, 10, struct.pack(">Q", 10**15)) + thrift_field(10, 12, bytes(7) + b"\4")
    span += thrift_field(12, 99, thrift_field(13, 1, b"\x0b\x0c" + bytes(4)) + b"\0")
    return struct.pack(">BI", 12, 1) + span + b"\0"


ZIPKIN_V1 = (
    b'[{"traceId":"1","id":"2","name":"\\u0047et","annotations":[{"timestamp":1,"value":"cs","endpoint":{"serviceName":"a"}},'
    b'{"timestamp":2,"value":"sr","endpoint":{"serviceName":"b","ipv4":"1.2.3.4"}}],"binaryAnnotations":[{"key":"sa","value":true,'
    b'"endpoint":{"port":1}},{"key":"error","value":"\\n"},{"key":"n","value":1.5}]}]'
)

def thrift(id_, value):
    """A field of the binary protocol: bytes are a string, a list is one of structs, None is no value."""
    kinds = {bytes: (11, lambda: struct.pack(">i", len(value)) + value), int: (10, lambda: struct.pack(">q", value)),
             bool: (2, lambda: bytes([value])), float: (4, lambda: struct.pack(">d", value)),
             list: (15, lambda: b"\x0c" + struct.pack(">i", len(value)) + b"".join(value)),
             tuple: (8, lambda: struct.pack(">i", value[0]))}  # fmt: skip
    kind, encode = kinds[type(value)]
    return bytes([kind]) + struct.pack(">h", id_) + encode()


def compact(id_, value):
    """The same of the compact protocol, ids written out."""
    zigzag = lambda n: varint(n << 1 if n >= 0 else (-n << 1) - 1)  # noqa: E731
    kinds = {bytes: (8, lambda: varint(len(value)) + value), int: (6, lambda: zigzag(value)),
             bool: (1 if value else 2, lambda: b""), float: (7, lambda: struct.pack("<d", value)),
             list: (9, lambda: b"\xfc" + varint(len(value)) + b"".join(value)), tuple: (5, lambda: zigzag(value[0]))}  # fmt: skip
    kind, encode = kinds[type(value)]
    return bytes([kind]) + zigzag(id_) + encode()


def jaeger_batch(put, struct_field):
    def tag(key, kind, member, value):
        return put(1, key) + put(2, (kind,)) + put(member, value) + b"\0"

    tags = [tag(b"s", 0, 3, b"text"), tag(b"d", 1, 4, 1.5), tag(b"error", 2, 5, True), tag(b"n", 3, 6, -1), tag(b"b", 4, 7, b"\xff"),
            tag(b"span.kind", 0, 3, b"client"), tag(b"http.status_code", 3, 6, 500), tag(b"u\xff", 0, 3, b"\xff")]  # fmt: skip
    refs = [put(1, (kind,)) + put(2, low) + put(3, 0) + put(4, 7) + b"\0" for kind, low in ((1, 9), (0, 1))]
    logs = [put(1, 10**15) + put(2, [tag(b"event", 0, 3, b"e"), tags[0]]) + b"\0"]
    span = put(1, 1) + put(2, 0) + put(3, 2) + put(4, 7) + put(5, b"op") + put(6, refs) + put(7, (3,)) + put(8, 10**15) + put(9, 5)
    span += put(10, tags) + put(11, logs) + b"\0"
    process = struct_field(1) + put(1, b"svc") + put(2, tags[:1]) + b"\0"
    return process + put(2, [span, span]) + b"\0", put(2, [span]) + process + b"\0"


def jaeger_request():
    tags = b"".join(field(8, field(1, b"k%d" % i) + field(2, i)) for i in range(6)) + field(8, field(1, b"s") + field(3, b"text"))
    span = field(1, bytes(range(1, 17))) + field(2, bytes(range(8))) + field(3, b"op") + field(5, 1)
    span += field(4, field(1, bytes(range(1, 17))) + field(2, bytes(8)) + field(3, 1)) + field(6, field(1, 10**9) + field(2, 7))
    span += field(7, field(2, 5)) + tags + field(9, field(1, field(1, 1)) + field(2, field(1, b"event") + field(3, b"e")))
    return field(1, field(1, span) + field(1, span + field(10, field(1, b"own"))) + field(2, field(1, b"svc")))


def msgpack(v):
    """None, numbers, texts, bytes, lists and dictionaries in the shortest form of maps and the longest of numbers."""
    if v is None or isinstance(v, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[v]
    if isinstance(v, int):
        return struct.pack(">BQ", 0xCF, v) if v >= 0 else struct.pack(">Bq", 0xD3, v)
    if isinstance(v, float):
        return struct.pack(">Bd", 0xCB, v)
    if isinstance(v, str):
        return (bytes([0xA0 | len(v.encode())]) if len(v.encode()) < 32 else struct.pack(">BB", 0xD9, len(v.encode()))) + v.encode()
    if isinstance(v, bytes):
        return struct.pack(">BB", 0xC4, len(v)) + v
    if isinstance(v, list):
        return bytes([0x90 | len(v)]) + b"".join(map(msgpack, v))
    return (bytes([0x80 | len(v)]) if len(v) < 16 else struct.pack(">BH", 0xDE, len(v))) + b"".join(
        msgpack(key) + msgpack(value) for key, value in v.items())


def agent_batch():
    ids = {"trace": bytes(range(1, 17)), "id": bytes(range(1, 9))}
    span = {**ids, "parent": bytes(range(2, 10)), "name": "op", "kind": 3, "start": 10**18, "end": 10**18 + 5, "status": 2, "message": "no",
            "state": "a=b", "flags": 258, "attrs": {"error": True, "n": -1, "d": 0.5, "l": ["x", None, {"k": b"\0"}], "http.method": "GET"},
            "events": [{"time": 10**18, "name": "e", "attrs": {"k": "v"}}], "links": [{**ids, "state": "c=d", "flags": 1}],
            "dropped_attrs": 1}  # fmt: skip
    return msgpack({"v": 1, "resource": {"service.name": "svc"}, "scope": {"name": "lib", "version": "1"}, "spans": [span, ids]})


JAEGER_UI = (
    b'{"data":[{"traceID":"1","spans":[{"traceID":"1","spanID":"2","flags":3,"operationName":"o\\u00e9","references":[{"refType":"CHILD_OF",'
    b'"traceID":"1","spanID":"3"},{"refType":"FOLLOWS_FROM","traceID":"4","spanID":"5"}],"startTime":1700000000000000,"duration":5,'
    b'"tags":[{"key":"s","type":"string","value":"t"},{"key":"error","type":"bool","value":true},{"key":"i","type":"int64","value":"-7"},'
    b'{"key":"f","type":"float64","value":0.5},{"value":"AQID","key":"y","type":"binary"}],"logs":[{"timestamp":1700000000000001,'
    b'"fields":[{"key":"event","type":"string","value":"e"}]}],"processID":"p1","warnings":null}],"processes":{"p1":{"serviceName":"svc",'
    b'"tags":[{"key":"host","type":"string","value":"h"}]}},"warnings":null}],"total":0,"errors":null}'
)
JAEGER_JSON = (
    b'{"traceId":"AAAAAAAAAAEAAAAAAAAAAg==","spanId":"AAAAAAAAAAM=","operationName":"o\\u00e9","references":[{"traceId":'
    b'"AAAAAAAAAAEAAAAAAAAAAg==","spanId":"AAAAAAAAAAk="},{"refType":"FOLLOWS_FROM","traceId":"AAAAAAAAAAEAAAAAAAAABw==",'
    b'"spanId":"AAAAAAAAAAg="}],"flags":3,"startTime":"2023-11-14T22:13:20.0000015Z","duration":"0.0025s","tags":[{"key":"s",'
    b'"vStr":"t\\""},{"key":"error","vType":"BOOL","vBool":true},{"key":"i","vType":"INT64","vInt64":"-7"},{"key":"f","vType":3,'
    b'"vFloat64":"NaN"},{"key":"y","vType":"BINARY","vBinary":"AQID"}],"logs":[{"timestamp":"2023-11-14T22:13:21Z","fields":'
    b'[{"key":"event","vStr":"e"}]}],"process":{"serviceName":"svc","tags":[{"key":"host","vStr":"h"}]}}'
)

BINARY = jaeger_batch(thrift, lambda id_: b"\x0c" + struct.pack(">h", id_))
COMPACT = jaeger_batch(compact, lambda id_: b"\x0c" + bytes([id_ << 1]))

ZIPKIN_COMPACT = bytes.fromhex(
    "8281010f656d69745a69706b696e4261746368192c1603280367657416061604195c1680897a180263731c15828080a00114a07e180566726f6e7400"
    "001694897a180273721c15fdfbbff507140118046261636b000016f8897a180273731c15fdfbbff507140118046261636b0000168c8a7a180263721c"
    "15828080a00114a07e180566726f6e74000016a8897a18046d6973731c15fdfbbff507140118046261636b0000294c1809687474702e706174681805"
    "2f63617274150c1c15828080a00114a07e180566726f6e74000018026f6b18010115001c15fdfbbff507140118046261636b000018016e1804000000"
    "0715061c15fdfbbff507140118046261636b00001802736118010115001c15fdfbbff507140118046261636b0000111680897a168c01160a00160e28"
    "056c6f63616c1610290c291c18026c631800150c1c15828080a00114a07e180566726f6e74000012160a160c0000"
)

SAMPLING = (
    b'{"service_strategies":[{"service":"cart","type":"probabilistic","param":0.5,"operation_strategies":'
    b'[{"operation":"GET /","type":"probabilistic","param":0.1}]},{"service":"batch","type":"ratelimiting","param":5}],'
    b'"default_strategy":{"type":"probabilistic","param":0.2,"operation_strategies":[{"operation":"x","type":"ratelimiting","param":2}]}}'
)

SEEDS = {
    "zipkin_proto": [zipkin_proto_span(bytes(range(16, 8, -1))), zipkin_proto_span(bytes(range(1, 9))) * 2, b""],
    "zipkin_v1_json": [ZIPKIN_V1, b"[]"],
    "zipkin_v1_thrift": [zipkin_thrift(), struct.pack(">BI", 12, 0)],
    "jaeger_batch": [*BINARY],
    "jaeger_binary": [b"\x80\1\0\4\0\0\0\x09emitBatch\0\0\0\0\x0c\0\1" + BINARY[0] + b"\0",
                      b"\0\0\0\x09emitBatch\1\0\0\0\0\x0c\0\1" + BINARY[1] + b"\0",
                      b"\x80\1\0\4\0\0\0\x0femitZipkinBatch\0\0\0\0\x0f\0\1" + zipkin_thrift() + b"\0"],
    "jaeger_compact": [*(b"\x82\x81\0\x09emitBatch\x1c" + batch + b"\0" for batch in COMPACT), ZIPKIN_COMPACT],
    "jaeger_proto": [jaeger_request()],
    "msgpack": [agent_batch(), agent_batch() * 2, msgpack({"spans": [{"trace": "1" * 32, "id": "2" * 16}], "x": [[[]]], "v": 1})],
    "jaeger_ui_json": [JAEGER_UI, JAEGER_UI[9:-26], b'{"data":[]}\n{"spans":[{}]}'],
    "jaeger_json": [JAEGER_JSON, b"{}"],
    "any": [JAEGER_JSON, jaeger_request()[3:], ONE_SPAN, JSON, ZIPKIN, zipkin_proto_span(bytes(range(1, 9))), zipkin_thrift()],
    "otlp_proto": [ONE_SPAN, rich_span(), ONE_SPAN + rich_span(), b""],
    "file": [JSON + b"\n" + JSON, JSON, ZIPKIN, framed(ONE_SPAN) * 2, ONE_SPAN, gzip.compress(JSON + b"\n", mtime=0) * 2,
             gzip.compress(framed(ONE_SPAN), mtime=0), bytes.fromhex("28b52ffd2003190000") + b"[]\n", framed(ONE_SPAN)[:20],
             JAEGER_UI, framed(zstd(JSON)) * 2,
             b'{\n "result": {\n "resourceSpans": [' + JSON[18:-2] + b"]\n }\n}", b"[" + ZIPKIN + b",[]]\n" + JAEGER_JSON,
             b"\xef\xbb\xbf[" + JAEGER_UI[9:-26] + b',\n{"data":[]}]',
             jaeger_request(), zipkin_thrift(), b"\x82\x81\0\x09emitBatch\x1c" + COMPACT[0] + b"\0"],
    "zipkin_any": [ZIPKIN, ZIPKIN_V1, zipkin_thrift(), zipkin_proto_span(bytes(range(1, 9)))],
    "views": [ONE_SPAN, rich_span(), ONE_SPAN + rich_span()],
    "sampling": [SAMPLING, b"{}", b'{"default_strategy":{"type":"probabilistic","param":1e-3}}'],
    "tracestate": [b"ot=th:8;rv:123456789abcde", b"a=b,ot=x:y;th:c0,c=d", b"ot=th:0,ot=rv:1", b", a@b=c ,,", b"ot=th:zz;rv:1"],
    "otlp_reply": [b"\0\0\xc8\n\n\n\n\n" + PARTIAL, b"\1\0\xc8\n\n14\nbusy\nCA4\n" + STATUS, b"\0\1\xad\n120\n\n\n\n",
                   b"\0\1\xf7\nFri, 31 Dec 2027 23:59:59 GMT\n\n\n\n"],
    "private": [field(1, 1) + field(2, 3), field(1, 3) + field(2, 8) + field(6, 7)],
    "record": [record(ONE_SPAN), record(rich_span()) + record(ONE_SPAN + rich_span(), b"", 2), record(b"", b"r", 0)],
    "store": [b"\0", b"\1\x40\0\0\4abcd", b"\2\0\1\0\1x", b"\3\0\2\0\1x", b"\1\0\x30\0\4abcd", b"\0" + b"\xff" * 8],
}


def main(target):
    for name, seeds in SEEDS.items():
        os.makedirs(os.path.join(target, name), exist_ok=True)
        for i, seed in enumerate(seeds):
            with open(os.path.join(target, name, str(i)), "wb") as file:
                file.write(seed)


main(sys.argv[1])
