"""spanmill graph: the graph of a recording is what the recording says, in every format; a daemon's is asked for."""
import collections
import csv
import http.server
import io
import json
import re
import shutil
import struct
import subprocess
import threading
import time
import urllib.request

import pytest

from conftest import QUICK, poll

SECOND = 1_000_000_000
START = 1_700_000_040 * SECOND  # at the beginning of a minute

CLIENT, SERVER, PRODUCER, CONSUMER = 3, 2, 4, 5


class Recording:
    """Spans as they are made, and the calls that they stand for."""

    def __init__(self):
        self.spans = []
        self.calls = collections.defaultdict(lambda: {"calls": 0, "errors": 0, "ms": []})

    def span(self, trace, parent, service, kind, start, ms, error=False, **attributes):
        self.spans.append({
            "trace": trace, "id": len(self.spans) + 1, "parent": parent, "service": service, "kind": kind, "start": start,
            "ms": ms, "error": error, "attributes": {key.replace("_", "."): value for key, value in attributes.items()},
        })
        return len(self.spans)

    def call(self, parent, child, ms, error=False):
        edge = self.calls[parent, child]
        edge["calls"] += 1
        edge["errors"] += error
        edge["ms"].append(ms)

    def rpc(self, trace, parent, caller, callee, start, ms, error=False):
        client = self.span(trace, parent, caller, CLIENT, start, ms + 2, error)
        server = self.span(trace, client, callee, SERVER, start + SECOND // 1000, ms, error)
        self.call(caller, callee, ms, error)
        return server

    def edges(self):
        return {(*pair, edge["calls"], edge["errors"]) for pair, edge in self.calls.items()}


def a_recording(traces=30, start=START):
    """web -> shop -> stock, shop -> database, shop -> topic -> mail; every fifth call to the stock fails."""
    r = Recording()
    for t in range(1, traces + 1):
        at = start + t * SECOND
        root = r.span(t, 0, "web", SERVER, at, 50)
        shop = r.rpc(t, root, "web", "shop", at, 40)
        r.rpc(t, shop, "shop", "stock", at, 10 + t % 3, error=t % 5 == 0)
        r.span(t, shop, "shop", CLIENT, at, 3, db_system_name="postgresql", server_address='the "db"')
        r.call("shop", 'the "db"', 3)
        if t % 2:
            topic = {"messaging_system": "kafka", "messaging_destination_name": "orders"}
            sent = r.span(t, shop, "shop", PRODUCER, at, 1, **topic)
            r.span(t, sent, "mail", CONSUMER, at + SECOND // 10, 5, **topic)
            r.call("shop", "kafka/orders", 1)
            r.call("kafka/orders", "mail", 5)
    return r


def groups(spans):
    by_service = collections.defaultdict(list)
    for span in spans:
        by_service[span["service"]].append(span)
    return by_service


def as_json_lines(spans):
    def attributes(values):
        return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]

    def one(s):
        return {
            "traceId": f"{s['trace']:032x}", "spanId": f"{s['id']:016x}", "name": "op", "kind": s["kind"],
            **({"parentSpanId": f"{s['parent']:016x}"} if s["parent"] else {}),
            "startTimeUnixNano": str(s["start"]), "endTimeUnixNano": str(s["start"] + s["ms"] * SECOND // 1000),
            "attributes": attributes(s["attributes"]), **({"status": {"code": 2}} if s["error"] else {}),
        }

    return "".join(
        json.dumps({"resourceSpans": [
            {"resource": {"attributes": attributes({"service.name": service})}, "scopeSpans": [{"spans": [one(s) for s in some]}]}
            for service, some in groups(spans[i : i + 20]).items()
        ]}) + "\n"
        for i in range(0, len(spans), 20)
    ).encode()


def as_protobuf(spans, size=20):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    out = b""
    for i in range(0, len(spans), size):
        request = ExportTraceServiceRequest()
        for service, some in groups(spans[i : i + size]).items():
            resource_spans = request.resource_spans.add()
            resource_spans.resource.attributes.add(key="service.name").value.string_value = service
            scope_spans = resource_spans.scope_spans.add()
            for s in some:
                made = scope_spans.spans.add(
                    trace_id=s["trace"].to_bytes(16, "big"), span_id=s["id"].to_bytes(8, "big"), name="op", kind=s["kind"],
                    parent_span_id=s["parent"].to_bytes(8, "big") if s["parent"] else b"", start_time_unix_nano=s["start"],
                    end_time_unix_nano=s["start"] + s["ms"] * SECOND // 1000,
                )
                for key, value in s["attributes"].items():
                    made.attributes.add(key=key).value.string_value = value
                made.status.code = 2 if s["error"] else 0
        message = request.SerializeToString()
        out += struct.pack(">I", len(message)) + message
    return out


def edges_of_json(text):
    return {(e["parent"], e["child"], e["callCount"], e.get("errorCount", 0)) for e in json.loads(text)["edges"]}


@pytest.mark.parametrize("pack", [as_json_lines, as_protobuf])
def test_json(spanmill, tmp_path, pack):
    made = a_recording()
    file = tmp_path / "spans"
    file.write_bytes(pack(made.spans))
    done = spanmill("graph", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert edges_of_json(done.stdout) == made.edges()
    for edge in json.loads(done.stdout)["edges"]:
        ms, latency = made.calls[edge["parent"], edge["child"]]["ms"], edge["latencyMs"]
        assert latency["count"] == len(ms)
        assert latency["mean"] == pytest.approx(sum(ms) / len(ms), rel=1e-6)
        assert min(ms) * 0.9 <= latency["p50"] <= latency["p99"] <= max(ms) * 1.1


def test_csv(spanmill, tmp_path):
    made = a_recording()
    (tmp_path / "spans").write_bytes(as_protobuf(made.spans))
    rows = list(csv.DictReader(io.StringIO(spanmill("graph", "--format", "csv", tmp_path / "spans").stdout)))
    assert {(r["parent"], r["child"], int(r["calls"]), int(r["errors"])) for r in rows} == made.edges()


def test_dot(spanmill, tmp_path):
    made = a_recording()
    (tmp_path / "spans").write_bytes(as_protobuf(made.spans))
    text = spanmill("graph", "-f", "dot", tmp_path / "spans").stdout
    found = set()
    for line in text.splitlines():
        edge = re.fullmatch(r'  "(.*)" -> "(.*)" \[label="(\d+) calls?(?:\\n(\d+) errors?)?.*\];', line)
        if edge:
            parent, child, calls, errors = edge.groups()
            found.add((parent.replace('\\"', '"'), child.replace('\\"', '"'), int(calls), int(errors or 0)))
    assert found == made.edges()
    if shutil.which("dot"):
        drawn = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, timeout=60)
        assert drawn.returncode == 0 and "kafka/orders" in drawn.stdout, drawn.stderr


def test_ranges(spanmill, tmp_path):
    """Two recordings half an hour apart, two whole traces a message: minutes outside of the range do not count."""
    early, late = a_recording(10), a_recording(20, START + 1800 * SECOND)
    (tmp_path / "a").write_bytes(as_protobuf(early.spans, 14))
    (tmp_path / "b").write_bytes(as_protobuf([{**s, "trace": s["trace"] + 1000} for s in late.spans], 14))
    boundary = (START + 900 * SECOND) // SECOND
    files = [tmp_path / "a", tmp_path / "b"]
    for arguments in (["--start", boundary], ["--lookback", "10m"]):
        assert edges_of_json(spanmill("graph", *arguments, *files).stdout) == late.edges()
    assert edges_of_json(spanmill("graph", "--end", boundary, *files).stdout) == early.edges()
    assert json.loads(spanmill("graph", "--end", boundary, *files).stdout)["endMs"] == boundary * 1000
    assert json.loads(spanmill("graph", "--end", START // SECOND, *files).stdout)["edges"] == []


def test_output_file(spanmill, tmp_path):
    made = a_recording(5)
    (tmp_path / "spans").write_bytes(as_protobuf(made.spans))
    out = tmp_path / "graph.json"
    done = spanmill("graph", "-o", out, tmp_path / "spans")
    assert (done.returncode, done.stdout) == (0, "")
    assert edges_of_json(out.read_text()) == made.edges()
    assert spanmill("graph", "-o", out, tmp_path / "none").returncode == 1
    assert edges_of_json(out.read_text()) == made.edges()
    done = spanmill("graph", "-o", tmp_path / "no" / "where", tmp_path / "spans")
    assert done.returncode == 1 and "cannot write" in done.stderr


def test_problems_of_a_recording_are_told(spanmill, tmp_path):
    made = a_recording(10)
    (tmp_path / "spans").write_bytes(as_protobuf(made.spans)[:-5])
    done = spanmill("graph", tmp_path / "spans")
    assert done.returncode == 0 and edges_of_json(done.stdout)
    assert "1 record and 0 spans refused; first: " in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["-f", "svg"], "json, dot and csv"),
        (["--lookback", "soon"], "is not a duration"),
        (["--start", "soon"], "is not a time"),
        (["--start", "5", "--end", "5"], "--end lies not after --start"),
        (["--start", "5", "--lookback", "1h"], "both say"),
        (["--from", "http://h", "file"], "either"),
        (["--set", "windows.idle=1s"], "a configuration only matters for files"),
    ],
)
def test_wrong_usage(spanmill, arguments, said):
    done = spanmill("graph", *arguments)
    assert done.returncode == 2 and said in done.stderr


def test_nobody_listens(spanmill):
    done = spanmill("graph", "--from", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "nothing listens at http://127.0.0.1:1/" in done.stderr and "spanmill run" in done.stderr


def test_errors_of_a_server_are_shown(spanmill, tmp_path):
    """Whatever answers: its status and words are shown, and the output stays as it was."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"error":"no such thing"}'
            self.send_response(404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    out = tmp_path / "graph"
    out.write_text("before")
    done = spanmill("graph", "--from", f"http://127.0.0.1:{server.server_port}", "-o", out)
    server.shutdown()
    server.server_close()
    assert done.returncode == 1 and "answered 404: no such thing" in done.stderr
    assert out.read_text() == "before"


def send(daemon, spans):
    request = urllib.request.Request(daemon.urls["OTLP HTTP"], as_protobuf(spans, len(spans))[4:],
                                     {"content-type": "application/x-protobuf"})
    assert urllib.request.urlopen(request, timeout=10).status == 200


def test_of_a_daemon(daemon, spanmill):
    """The daemon's own graph, in each format and for a range, is that of what was sent."""
    d = daemon(*QUICK)
    now = time.time_ns()
    made = a_recording(20, now - 60 * SECOND)
    send(d, made.spans)
    where = ["--from", d.urls["Query"]]
    ask = lambda *arguments: spanmill("graph", *where, *arguments)  # noqa: E731
    poll(lambda: edges_of_json(ask().stdout) == made.edges(), "the graph")
    rows = csv.DictReader(io.StringIO(ask("-f", "csv").stdout))
    assert {(r["parent"], r["child"], int(r["calls"]), int(r["errors"])) for r in rows} == made.edges()
    assert ask("-f", "dot").stdout.startswith("digraph dependencies {")
    assert edges_of_json(ask("--lookback", "30m").stdout) == made.edges()
    assert edges_of_json(ask("--end", now // SECOND - 3600).stdout) == set()
    assert edges_of_json(ask("--start", now // SECOND - 600, "--end", now // SECOND + 60).stdout) == made.edges()
    done = ask("--start", now // SECOND + 3600)
    assert done.returncode == 1 and "answered 400: start must be before end" in done.stderr
