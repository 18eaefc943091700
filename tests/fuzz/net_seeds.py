#!/usr/bin/env python3
"""Writes starting points for fuzz_http and fuzz_inflate: they are checked in as
corpus/http and corpus/inflate: tests/fuzz/net_seeds.py tests/fuzz/corpus writes them again."""
import gzip
import os
import struct
import sys
import zlib

HTTP1 = [
    b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /d HTTP/1.1\r\n\r\nGET /d HTTP/1.0\r\n\r\n",
    b"POST /t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"POST /r HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n123456789",
    b"POST /r HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHEAD /n HTTP/1.1\r\n\r\n",
    b"GET http://h/x HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nContent-Length: 6000\r\n\r\n" + b"x" * 6000 + b"GET /d HTTP/1.1\r\n\r\n",
]


# For a server with a door; YTpi is a:b.
DOOR = [
    b"POST /t HTTP/1.1\r\nAuthorization: Bearer sesame\r\nContent-Length: 1\r\n\r\naGET /o HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n",
    b"POST /t HTTP/1.1\r\nauthorization: basic YTpi\r\nOrigin: https://b.a\r\nContent-Length: 1\r\n\r\na",
    b"OPTIONS /t HTTP/1.1\r\nOrigin: https://b.a\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: a,b\r\n\r\n",
    b"OPTIONS /t HTTP/1.1\r\nOrigin: https://c\r\nAccess-Control-Request-Method: GET\r\n\r\nPOST /t HTTP/1.1\r\nAuthorization: Basic YQ==\r\n\r\n",
]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(*fields):
    return b"".join(b"\0" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in fields)


def request(stream, method, path, body=None, grpc=False):
    fields = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)]
    if grpc:
        fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"grpc-timeout", b"1S")]
    out = frame(1, 4 | (body is None), stream, headers(*fields))
    if body is not None:
        out += frame(0, 1, stream, body)
    return out


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
MESSAGE = b"\0\0\0\0\3abc"
HTTP2 = [
    PREFACE + request(1, b"GET", b"/a") + request(3, b"POST", b"/d", b"body") + frame(6, 0, 0, b"\0" * 8),
    PREFACE + request(1, b"POST", b"/echo", MESSAGE, True) + request(3, b"POST", b"/r", MESSAGE, True) + request(5, b"POST", b"/d", MESSAGE, True),
    PREFACE + request(1, b"POST", b"/d", b"x") + frame(3, 0, 1, b"\0\0\0\x08") + request(3, b"GET", b"/t"),
    PREFACE + frame(1, 1, 1, headers((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"))) + frame(9, 4, 1, headers((b":path", b"/d"))),
    PREFACE + request(1, b"POST", b"/echo", b"x" * 9000) + frame(8, 0, 0, b"\0\0\x80\0") + frame(7, 0, 0, b"\0" * 8),
]


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def main(target):
    for i, wire in enumerate(HTTP1 + HTTP2):
        for k, control in enumerate([b"\0\0", b"\x05\x02", b"\x10\x83", b"\x01\x49"]):
            write(os.path.join(target, "http"), f"{i:02}-{k}", control + wire)
    for i, wire in enumerate(DOOR):
        for k, control in enumerate([b"\x80\0", b"\x85\x12"]):
            write(os.path.join(target, "http"), f"door-{i:02}-{k}", control + wire)
    text = b"service.name" * 300
    for coding, packed in enumerate([text, gzip.compress(text, mtime=0) * 2, zlib.compress(text)]):
        write(os.path.join(target, "inflate"), f"{coding}", bytes([coding]) + packed)
    # A zstd frame by hand: magic, single segment of 3 bytes, one raw block.
    write(os.path.join(target, "inflate"), "3", b"\x03" + bytes.fromhex("28b52ffd2003190000") + b"abc")
    # Snappy: a block of 30 times "xyz"; a stream of a plain chunk, padding and a packed one, as python-snappy writes them.
    block = bytes.fromhex("5a0878797afe03005a0300")
    stream = bytes.fromhex("ff060000734e61507059" "010700001e358d7378797a" "fe01000000" "000f000039977186") + block
    write(os.path.join(target, "inflate"), "4", b"\x04" + block)
    write(os.path.join(target, "inflate"), "5", b"\x04" + stream * 2)
    # An lz4 frame with linked blocks and both checksums, twice.
    frame4 = bytes.fromhex("04224d187440bd16000000cf736572766963652e6e616d650c00cc502e6e616d65150acd5f0000000034eb1907")
    write(os.path.join(target, "inflate"), "6", b"\x05" + frame4 * 2)


main(sys.argv[1])
