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


def framed(message):
    return struct.pack(">I", len(message)) + message


def record(request, rule=b"errors", span_count=1):
    """A stored record: its header, the rule's name, TracesData."""
    head = struct.pack("<HBB", 80 + len(rule), 1, 1) + struct.pack(">QQ", 0, 7) + struct.pack("<QQqQ", 10**9, 10**9 + 5000, 10**18, 0)
    head += struct.pack(">Q", 99) + struct.pack("<IIHHI", span_count, 0, 0, len(rule), 0)
    return struct.pack("<I", 4 + len(head) + len(rule) + len(request)) + head + rule + request


SEEDS = {
    "otlp_proto": [ONE_SPAN, rich_span(), ONE_SPAN + rich_span(), b""],
    "file": [JSON + b"\n" + JSON, JSON, ZIPKIN, framed(ONE_SPAN) * 2, ONE_SPAN, gzip.compress(JSON + b"\n", mtime=0) * 2,
             gzip.compress(framed(ONE_SPAN), mtime=0), bytes.fromhex("28b52ffd2003190000") + b"[]\n", framed(ONE_SPAN)[:20]],
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
