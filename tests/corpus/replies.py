#!/usr/bin/env python3
"""Sends captured and malformed payloads to the receivers of a running daemon and compares the replies.

usage: replies.py --spanmill PATH [--corpus DIR]

The corpus is the one of run.py beside this file; without it nothing is checked and the exit status is 77 (skipped). Every
payload travels as its client sent it: method, path, headers, content encoding; gRPC messages in their frames. What may differ
from the verdict on purpose is in OTHER_REPLIES and OTHER_STATUSES."""

import argparse
import ctypes
import http.client
import json
import pathlib
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from run import OTHER_REPLIES, SKIPPED, differences, find_corpus, jaeger_expected, jaeger_spans, zipkin_spans

HTTP_PROTOCOLS = {
    "zipkin-v2-json": "Zipkin",
    "zipkin-proto3": "Zipkin",
    "zipkin-v1-json": "Zipkin",
    "zipkin-v1-thrift": "Zipkin",
    "otlp-http-json": "OTLP HTTP",
    "otlp-http-protobuf": "OTLP HTTP",
    "jaeger-http-thrift": "Jaeger HTTP",
}
# success is 202 without a body, errors are texts
TEXT_PROTOCOLS = ("zipkin-v2-json", "zipkin-proto3", "zipkin-v1-json", "zipkin-v1-thrift", "jaeger-http-thrift")
OTLP_TYPES = ("application/json", "application/x-protobuf")
GRPC_PROTOCOLS = {
    "otlp-grpc": ("OTLP gRPC", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    "jaeger-grpc": ("Jaeger gRPC", "/jaeger.api_v2.CollectorService/PostSpans"),
}
UDP_PROTOCOLS = {"jaeger-udp-compact": "Jaeger UDP compact", "jaeger-udp-binary": "Jaeger UDP binary"}

# gRPC statuses where the verdict is not ours, on purpose.
OTHER_STATUSES = {
    "013-frame-bad-protobuf": 3,  # OTLP wants INVALID_ARGUMENT for bad data, and Jaeger gets the same
}
# With the query API on the same port this is a question for span names, without the service's name.
ALSO_ACCEPTED = {"zipkin-v2-json/094-method-get": 400}
LISTENERS = ("otlp_grpc", "otlp_http", "zipkin", "jaeger_udp_compact", "jaeger_udp_binary", "jaeger_http", "jaeger_grpc",
             "jaeger_sampling", "jaeger_sampling_grpc", "query", "metrics")  # fmt: skip
NOT_SENT = ("host", "content-length", "transfer-encoding", "connection", "expect")


class Daemon:
    """A daemon on ports of the kernel's choice, with its data in a directory that goes with it."""

    def __init__(self, binary):
        self.directory = tempfile.TemporaryDirectory()
        listen = ["listen.%s=127.0.0.1:0" % name for name in LISTENERS]
        command = [binary, "run"]
        for setting in (*listen, "store.path=%s/data" % self.directory.name, "workers=2", "memory.budget=1GiB"):
            command += ["--set", setting]
        self.urls = {}
        self.log = []
        self.ready = threading.Event()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready.wait(30)
        if self.process.poll() is not None or not self.urls:
            raise SystemExit("replies: the daemon did not start: %s" % self.log[-5:])

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            fields = dict(pair.partition("=")[::2] for pair in shlex.split(line))
            if fields.get("event") == "listening":
                self.urls[fields["protocol"]] = fields["url"]
            if fields.get("event") == "ready":
                self.ready.set()
        self.ready.set()

    def address(self, protocol):
        parts = urllib.parse.urlsplit(self.urls[protocol])
        return parts.hostname, parts.port

    def metrics(self):
        with urllib.request.urlopen(self.urls["Prometheus"], timeout=10) as reply:
            return reply.read().decode()

    def admitted(self):
        return int(re.search(r"^spanmill_spans_admitted_total (\d+)$", self.metrics(), re.M).group(1))

    def payloads(self):
        """Payloads taken, refused."""
        text = self.metrics()
        refused = re.findall(r"^spanmill_payloads_refused_total\{.*\} (\d+)$", text, re.M)
        return int(re.search(r"^spanmill_payloads_total (\d+)$", text, re.M).group(1)), sum(map(int, refused))

    def end(self):
        """Ends it in order; the problems that it had."""
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.reader.join(timeout=10)
        self.directory.cleanup()
        return [] if code == 0 else ["the daemon ended with %d: %s" % (code, self.log[-20:])]


def send_http(address, info, body):
    """Status, content type and body of the reply."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.putrequest(info.get("method") or "POST", info["path"], skip_accept_encoding=True)
    for name, value in info.get("headers") or []:
        if name.lower() not in NOT_SENT:
            connection.putheader(name, value)
    connection.putheader("content-length", str(len(body)))
    connection.endheaders()
    try:
        connection.send(body)
    except OSError:
        pass  # the reply may come before the whole body was taken
    reply = connection.getresponse()
    result = reply.status, reply.getheader("content-type", ""), reply.read()
    connection.close()
    return result


class Hpack:
    """Header blocks: written as plain literals, read by libnghttp2, which the daemon is linked with."""

    class Pair(ctypes.Structure):
        _fields_ = [
            ("name", ctypes.POINTER(ctypes.c_char)),
            ("value", ctypes.POINTER(ctypes.c_char)),
            ("name_len", ctypes.c_size_t),
            ("value_len", ctypes.c_size_t),
            ("flags", ctypes.c_uint8),
        ]

    def __init__(self):
        self.library = ctypes.CDLL("libnghttp2.so.14")
        self.library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.library.nghttp2_hd_inflate_hd2.argtypes = [
            ctypes.c_void_p, ctypes.POINTER(self.Pair), ctypes.POINTER(ctypes.c_int),
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int,
        ]  # fmt: skip
        self.inflater = ctypes.c_void_p()
        assert self.library.nghttp2_hd_inflate_new(ctypes.byref(self.inflater)) == 0

    def close(self):
        self.library.nghttp2_hd_inflate_del(self.inflater)

    def read(self, block):
        headers = {}
        while True:
            pair, flags = self.Pair(), ctypes.c_int(0)
            used = self.library.nghttp2_hd_inflate_hd2(
                self.inflater, ctypes.byref(pair), ctypes.byref(flags), block, len(block), 1
            )
            assert used >= 0, used
            block = block[used:]
            if flags.value & 2:  # NGHTTP2_HD_INFLATE_EMIT
                headers[pair.name[: pair.name_len].decode()] = pair.value[: pair.value_len].decode()
            if flags.value & 1:  # NGHTTP2_HD_INFLATE_FINAL
                self.library.nghttp2_hd_inflate_end_headers(self.inflater)
                return headers

    @staticmethod
    def write(headers):
        out = b""
        for name, value in headers:
            out += b"\0"
            for text in (name.encode(), value.encode()):
                assert len(text) < 127
                out += bytes([len(text)]) + text
        return out


DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            return None
        data += more
    return data


def read_streams(sock, streams):
    """Reads until that many streams have ended; {stream: headers and trailers, or an error}."""
    hpack, seen, ended = Hpack(), {}, set()
    while len(ended) < streams:
        head = read_exactly(sock, 9)
        if head is None:
            break
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big")
        payload = read_exactly(sock, size)
        if kind == SETTINGS and not flags & 1:
            sock.sendall(frame(SETTINGS, 1, 0))
        elif kind == HEADERS:
            seen.setdefault(stream, {}).update(hpack.read(payload))
        elif kind == RST_STREAM:
            seen.setdefault(stream, {}).setdefault("reset", str(int.from_bytes(payload, "big")))
            ended.add(stream)
        elif kind == GOAWAY and int.from_bytes(payload[4:8], "big"):
            seen["goaway"] = int.from_bytes(payload[4:8], "big")
        if kind in (DATA, HEADERS) and flags & 1:
            ended.add(stream)
    hpack.close()
    return seen


def grpc_status(headers):
    return int(headers["grpc-status"]) if "grpc-status" in headers else "none (%s)" % headers


def send_grpc(address, path, frames, encoding):
    """The gRPC status of one call whose DATA is `frames`."""
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
               ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip
    if encoding:
        headers.append(("grpc-encoding", encoding))
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, Hpack.write(headers))
                     + frame(DATA, 1, 1, frames))  # fmt: skip
        return grpc_status(read_streams(sock, 1).get(1, {}))


def send_h2_capture(address, recorded):
    """The gRPC statuses of all calls on a recorded connection, sent again byte for byte, its farewell after the replies."""
    at, streams = 24, set()
    while at + 9 <= len(recorded) and recorded[at + 3] != GOAWAY:
        if recorded[at + 3] == HEADERS:
            streams.add(int.from_bytes(recorded[at + 5 : at + 9], "big"))
        at += 9 + int.from_bytes(recorded[at : at + 3], "big")
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall(recorded[:at])
        seen = read_streams(sock, len(streams))
        sock.sendall(recorded[at:])
    return {stream: grpc_status(seen.get(stream, {})) for stream in streams}


def check_form(protocol, status, reply_type, body, request_type):
    """OTLP replies in the request's encoding, the others in text."""
    if protocol in TEXT_PROTOCOLS:
        return [] if status != 202 or not body else ["202 with a body"]
    if status in (404, 405, 415):
        return [] if reply_type.startswith("text/plain") else ["%d as %s" % (status, reply_type)]
    if reply_type != request_type:
        return ["reply as %s to %s" % (reply_type, request_type)]
    if request_type == "application/json":
        json.loads(body)
    return []


def check_http(daemon, protocol, path):
    info = json.loads(path.with_suffix(".json").read_text())
    if "expected" in info:
        replies, verdict = [202 if protocol in TEXT_PROTOCOLS else 200], ""
    else:
        reply = OTHER_REPLIES.get("%s/%s" % (protocol, path.stem), info.get("reply", 400))
        replies, verdict = reply if isinstance(reply, list) else [reply], info.get("verdict", "")
        replies = replies + [ALSO_ACCEPTED.get("%s/%s" % (protocol, path.stem), replies[0])]
    before = daemon.admitted() if "never store" in verdict or "expected" in info else 0
    status, reply_type, body = send_http(daemon.address(HTTP_PROTOCOLS[protocol]), info, path.read_bytes())
    request_type = next((v for k, v in info.get("headers") or [] if k.lower() == "content-type"), "")
    request_type = request_type.split(";")[0].strip().lower()
    if status not in replies:
        return ["reply %d %r, expected %s: %s" % (status, body[:200], replies, info.get("why"))]
    problems = check_form(protocol, status, reply_type, body, request_type)
    if "never store" in verdict and daemon.admitted() != before:
        problems.append("stored a span: %s" % info.get("why"))
    if "expected" in info and daemon.admitted() != before + len(info["expected"]):
        problems.append("%d spans, expected %d" % (daemon.admitted() - before, len(info["expected"])))
    if "expected" in info and not problems:
        problems += check_read_back(daemon, protocol, info["expected"])
    return problems


def read_trace(daemon, protocol, trace_id):
    """The trace as the API of the protocol's own backend gives it."""
    listener, path = ("Zipkin", "/api/v2/trace/%s") if protocol.startswith("zipkin") else ("Query", "/api/traces/%s?raw=true")
    try:
        with urllib.request.urlopen("http://%s:%d" % daemon.address(listener) + path % trace_id, timeout=10) as reply:
            document = json.load(reply)
            return zipkin_spans(document) if listener == "Zipkin" else jaeger_spans(document["data"])
    except urllib.error.HTTPError:
        return []


def check_read_back(daemon, protocol, expected):
    """What was sent, asked for through Zipkin's API or Jaeger's; payloads of one trace come one after the other."""
    if protocol.startswith("otlp"):
        return []
    deadline = time.monotonic() + 5
    missing = jaeger_expected(expected) if protocol.startswith("jaeger") else expected
    while missing and time.monotonic() < deadline:
        spans = [s for trace_id in {s["trace_id"] for s in missing} for s in read_trace(daemon, protocol, trace_id)]
        missing = [e for e in missing if not any(not differences([e], [s]) for s in spans)]
    if not missing:
        return []
    same = [s for s in spans if s["span_id"] == missing[0]["span_id"]] or [{}]
    return ["read back: " + d for d in differences(missing[:1], same[:1])]


def check_grpc(daemon, protocol, path):
    info = json.loads(path.with_suffix(".json").read_text())
    expected = OTHER_STATUSES.get(path.stem, int(re.search(r"\((\d+)\)", info["grpc_status"]).group(1)))
    encoding = "gzip" if "gzip" in path.stem else None
    name, method = GRPC_PROTOCOLS[protocol]
    status = send_grpc(daemon.address(name), method, path.read_bytes(), encoding)
    return [] if status == expected else ["grpc-status %s, expected %s: %s" % (status, expected, info["why"])]


def check_h2(daemon, protocol, path):
    statuses = send_h2_capture(daemon.address(GRPC_PROTOCOLS[protocol][0]), path.read_bytes())
    return ["stream %d: grpc-status %s" % (stream, status) for stream, status in statuses.items() if status != 0]


def check_udp(daemon, protocol, path):
    """Nobody answers: counters tell what became of a datagram."""
    info = json.loads(path.with_suffix(".json").read_text())
    expected, verdict = info.get("expected"), info.get("verdict", "accept")
    taken, refused = daemon.payloads()
    admitted = daemon.admitted()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(path.read_bytes(), daemon.address(UDP_PROTOCOLS[protocol]))
    deadline = time.monotonic() + 10
    while daemon.payloads() == (taken, refused):
        if time.monotonic() > deadline:
            return ["neither taken nor refused"]
    was_taken = daemon.payloads()[0] == taken + 1
    if verdict in ("accept", "refuse") and was_taken != (verdict == "accept"):
        return ["taken: %s, verdict: %s: %s" % (was_taken, verdict, info.get("why"))]
    if expected is not None and daemon.admitted() != admitted + len(expected):
        return ["%d spans, expected %d" % (daemon.admitted() - admitted, len(expected))]
    return check_read_back(daemon, protocol, expected) if expected else []


def checks(daemon, corpus):
    for protocol in HTTP_PROTOCOLS:
        captures = sorted((corpus / protocol).glob("*/*.bin")) + sorted((corpus / "malformed" / protocol).glob("*.bin"))
        for path in captures:
            yield path, lambda path=path, protocol=protocol: check_http(daemon, protocol, path)
    for version in ("v1", "v2"):
        for path in sorted((corpus / "malformed-real").glob("*-%s/*.bin" % version)):
            yield path, lambda path=path, version=version: check_http(daemon, "zipkin-%s-json" % version, path)
    for protocol in GRPC_PROTOCOLS:
        for path in sorted((corpus / "malformed" / protocol).glob("*.bin")):
            yield path, lambda path=path, protocol=protocol: check_grpc(daemon, protocol, path)
        for path in sorted((corpus / protocol).glob("*/*.h2")):
            yield path, lambda path=path, protocol=protocol: check_h2(daemon, protocol, path)
    for protocol in UDP_PROTOCOLS:
        captures = sorted((corpus / protocol).glob("*/*.bin")) + sorted((corpus / "malformed" / protocol).glob("*.bin"))
        for path in captures:
            if path.stat().st_size:  # an empty datagram is none
                yield path, lambda path=path, protocol=protocol: check_udp(daemon, protocol, path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--spanmill", required=True, type=pathlib.Path)
    parser.add_argument("--corpus")
    args = parser.parse_args()
    corpus = find_corpus(args.corpus)
    if corpus is None:
        print("replies: skipped, no captured payloads here (set SPANMILL_CORPUS)")
        return SKIPPED
    daemon = Daemon(str(args.spanmill.resolve()))
    passed = failed = 0
    for path, check in checks(daemon, corpus):
        try:
            problems = check()
        except (OSError, ValueError, http.client.HTTPException) as error:
            problems = ["%s: %s" % (type(error).__name__, error)]
        for problem in problems[:5]:
            print("%s: %s" % (path.relative_to(corpus), problem))
        passed += not problems
        failed += bool(problems)
    for problem in daemon.end():
        print(problem)
        failed += 1
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
