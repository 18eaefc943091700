"""End-to-end tests drive the built binary (SPANMILL, default build/release/spanmill) as its users do.

Daemons listen on ports of the kernel's choice, told by the lines they print at the start, and keep their data in a directory
of the test. Nothing waits for a fixed time: poll() tries until a deadline."""
import gzip
import http.server
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LISTENERS = ("otlp_grpc", "otlp_http", "zipkin", "jaeger_udp_compact", "jaeger_udp_binary", "jaeger_http", "jaeger_grpc",
             "jaeger_sampling", "jaeger_sampling_grpc", "query", "metrics")
BINARY = os.environ.get("SPANMILL", str(ROOT / "build" / "release" / "spanmill"))


def poll(attempt, what, seconds=20.0):
    """Calls attempt() until it returns something true, which is the result. AssertionErrors and OSErrors mean not yet."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    last = None
    while True:
        try:
            result = attempt()
            if result:
                return result
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}" + (f" ({last})" if last else ""))
        pause.wait(0.02)


def run(*arguments, **options):
    """One run of the binary to its end."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def spanmill():
    return run


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
        return reply.read().decode()


def otlp_request(spans, service="svc"):
    """An ExportTraceServiceRequest as bytes. Spans are dictionaries: trace, id, parent, name, start, duration, error."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute = resource_spans.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope_spans = resource_spans.scope_spans.add()
    for span in spans:
        start = span.get("start", 1_700_000_000_000_000_000)
        made = scope_spans.spans.add(
            trace_id=span["trace"].to_bytes(16, "big"), span_id=span["id"].to_bytes(8, "big"), name=span["name"], kind=2,
            parent_span_id=span["parent"].to_bytes(8, "big") if span.get("parent") else b"",
            start_time_unix_nano=start, end_time_unix_nano=start + span.get("duration", 1_000_000),
        )
        if span.get("error"):
            made.status.code = 2
    return request.SerializeToString()


def otlp(*spans):
    """An OTLP request; each span is (trace, id, parent, name)."""
    return otlp_request([dict(zip(("trace", "id", "parent", "name"), span)) for span in spans])


def post(url, body, content_type="application/x-protobuf", **headers):
    """Status and body of the reply."""
    request = urllib.request.Request(url, data=body, headers={"content-type": content_type, **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Daemon:
    """A running `spanmill run`. Its log lines are dictionaries in .log, its listeners URLs by protocol in .urls."""

    def __init__(self, directory, settings, config=None):
        listen = [f"listen.{name}=127.0.0.1:0" for name in LISTENERS]
        settings = [*listen, f"store.path={directory / 'data'}", "workers=2", "memory.budget=1GiB", *settings]
        self.directory = directory
        command = [BINARY, "run"]
        if config is not None:
            (directory / "spanmill.yaml").write_text(config)
            command += ["-c", str(directory / "spanmill.yaml")]
        for setting in settings:
            command += ["--set", setting]
        self.log = []
        self.raw = []  # lines as they came, reports of sanitizers too
        self.ended = False  # by the test
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            poll(lambda: self.event("ready") or self.process.poll() is not None, "ready")
            assert self.process.poll() is None, self.log
        except AssertionError:
            self.process.kill()
            raise
        self.urls = {line["protocol"]: line["url"] for line in self.log if line.get("event") == "listening"}

    def _read(self):
        for line in self.process.stderr:
            self.raw.append(line)
            if line.startswith("ts="):
                self.log.append(dict(pair.partition("=")[::2] for pair in shlex.split(line)))

    def event(self, name):
        return next((line for line in self.log if line.get("event") == name), None)

    def metrics(self):
        """Samples of a scrape: {"name{labels}": value}, labels as they stand."""
        samples = {}
        for line in get(self.urls["Prometheus"]).splitlines():
            if line and not line.startswith("#"):
                name, value = re.fullmatch(r"(\S+?(?:\{.*\})?) (\S+)", line).groups()
                samples[name] = float(value)
        return samples

    def stat(self, name, **labels):
        """Sum of the samples of a metric that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            value
            for sample, value in self.metrics().items()
            if re.split(r"\{", sample)[0] == name and all(w in sample for w in wanted)
        )

    def query(self, path):
        """The JSON that the query listener answers; None for 404."""
        try:
            return json.loads(get(self.urls["Query"].rstrip("/") + path))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def stored_spans(self, trace):
        """Names of the spans of a trace as Jaeger's API gives them, sorted; empty when there is no such trace."""
        found = self.query(f"/api/traces/{trace:032x}")
        return sorted(span["operationName"] for span in found["data"][0]["spans"]) if found else []

    def kill(self):
        """kill -9."""
        self.ended = True
        self.process.kill()
        self.process.wait()

    def check_balance(self):
        """The accounting identities that hold whenever nothing is on its way."""
        m = self.stat
        received = m("spanmill_spans_received_total") + m("spanmill_spans_restored_total")
        assert received == (
            m("spanmill_spans_rejected_total")
            + m("spanmill_spans_duplicate_total")
            + m("spanmill_spans_sampled_out_total")
            + m("spanmill_spans_dropped_total")
            + m("spanmill_spans_open")
            + m("spanmill_spans_kept_total")
        ), self.metrics()

    def end(self, number=signal.SIGTERM, seconds=60):
        """Sends the signal and returns the exit code."""
        self.ended = True
        self.process.send_signal(number)
        code = self.process.wait(timeout=seconds)
        self.reader.join(timeout=10)
        if code:
            print("".join(self.raw[-80:]))
        return code

    def close(self):
        """Ends it with the test; a daemon that ended by itself fails the test and says why."""
        code = self.process.poll()
        if code is None:
            self.process.kill()
            self.process.wait()
        elif not self.ended:
            self.reader.join(timeout=10)
            pytest.fail(f"the daemon ended with {code}:\n" + "".join(self.raw[-80:]))


@pytest.fixture
def daemon(tmp_path):
    """daemon("windows.idle=1s", ..., config="...", again=d): starts one, in the directory of another one if need be; ended with
    the test."""
    started = []

    def start(*settings, config=None, again=None):
        directory = again.directory if again else tmp_path / f"daemon{len(started)}"
        directory.mkdir(exist_ok=True)
        started.append(Daemon(directory, settings, config))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Collector:
    """The other side of an otlp_http sink: keeps every span it gets. `script` gives the status of the first requests."""

    def __init__(self, script=()):
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        self.spans = []  # (resource attributes, scope name, Span)
        self.requests = 0
        self.headers = []
        self.script = list(script)
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status = collector.script.pop(0) if collector.script else 200
                collector.requests += 1
                collector.headers.append(dict(self.headers))
                if status == 200:
                    if self.headers.get("content-encoding") == "gzip":
                        body = gzip.decompress(body)
                    request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
                    for resource_spans in request.resource_spans:
                        attributes = {a.key: a.value.string_value for a in resource_spans.resource.attributes}
                        for scope_spans in resource_spans.scope_spans:
                            for span in scope_spans.spans:
                                collector.spans.append((attributes, scope_spans.scope.name, span))
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sink(self, name="collector", **more):
        """The --set value of a configuration with this one sink."""
        extra = "".join(f", {key}: {value}" for key, value in more.items())
        return f"sinks=[{{name: {name}, type: otlp_http, endpoint: '{self.url}', batch: {{linger: 10ms}}{extra}}}]"

    def wait(self, count):
        poll(lambda: len(self.spans) >= count, f"{count} spans at the sink, there are {len(self.spans)}")
        return self.spans


@pytest.fixture
def collector():
    made = []

    def make(**options):
        made.append(Collector(**options))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


# Windows that close soon, so that tests are quick.
QUICK = ("windows.after_root=100ms", "windows.idle=500ms")
