"""What stands in front of the listeners: TLS, credentials, limits, pages of other sites, sockets in the file system."""
import base64
import gzip
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from conftest import QUICK, get, otlp, poll, run

# Tests read metrics and traces without ado.
OPEN_TO_TESTS = "{name: metrics, tls: {cert: off}, auth: {tokens: off, users: off}}, " \
                "{name: query, tls: {cert: off}, auth: {tokens: off, users: off}}"
TRACE = 0x5B8EFFF798038103D269B633813FC60C


class Authority:
    """A certificate authority in a directory; issue() replaces files by renaming, as tools that renew certificates do."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.ca = directory / "ca.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                      f"/CN={directory.name}", "-keyout", directory / "ca.key", "-out", self.ca)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def issue(self, name, days=10):
        """Paths of a certificate for localhost and of its key."""
        d = self.directory
        cert, key = d / f"{name}.crt", d / f"{name}.key"
        (d / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
                      d / "new.key", "-out", d / "new.csr")
        self._openssl("x509", "-req", "-in", d / "new.csr", "-CA", self.ca, "-CAkey", d / "ca.key", "-CAcreateserial", "-days", days,
                      "-extfile", d / "extensions", "-out", d / "new.crt")
        os.rename(d / "new.key", key)
        os.rename(d / "new.crt", cert)
        return cert, key


@pytest.fixture(autouse=True)
def only_what_tests_say(monkeypatch):
    """Python's requests believes these before what an exporter is told."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def tls_settings(authority, *more):
    cert, key = authority.issue("server")
    return (f"tls.cert={cert}", f"tls.key={key}", f"listeners=[{OPEN_TO_TESTS}]", *more)


def address_of(url):
    return re.sub(r"^\w+://|/.*$", "", url)


def export_sdk(exporter, name="from-sdk"):
    """Sends one span with an SDK's exporter; the exporter's verdict."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    results = []

    class Noting:
        def export(self, spans):
            results.append(exporter.export(spans))
            return results[-1]

        def shutdown(self):
            exporter.shutdown()

        def force_flush(self, timeout_millis=0):
            return True

    provider = TracerProvider(resource=Resource.create({"service.name": "svc"}))
    provider.add_span_processor(SimpleSpanProcessor(Noting()))
    with provider.get_tracer("t").start_as_current_span(name) as span:
        trace = span.get_span_context().trace_id
    provider.shutdown()
    return results[0].name == "SUCCESS", trace


def grpc_exporter(url, ca=None, mine=None, headers=None, timeout=4):
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    credentials = ca and grpc.ssl_channel_credentials(
        ca.read_bytes(), mine[1].read_bytes() if mine else None, mine[0].read_bytes() if mine else None)
    return OTLPSpanExporter(endpoint=url, insecure=not ca, credentials=credentials, headers=headers, timeout=timeout)


def http_exporter(url, ca=None, mine=None, headers=None, timeout=4):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=url, certificate_file=str(ca) if ca else None,
                            client_certificate_file=str(mine[0]) if mine else None, client_key_file=str(mine[1]) if mine else None,
                            headers=headers, timeout=timeout)


def both_exporters(d, **options):
    return (grpc_exporter(d.urls["OTLP gRPC"], **options), http_exporter(d.urls["OTLP HTTP"], **options))


def wait_for(d, trace, name="from-sdk"):
    poll(lambda: d.stored_spans(trace) == [name], f"span of {trace:032x}")


def post_otlp(url, body, headers=None, context=None):
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/x-protobuf", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as reply:
            return reply.status, dict(reply.headers)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers)


def failures(d, reason):
    return d.stat("spanmill_tls_handshakes_failed_total", reason=reason)


# ---- TLS ----


def test_sdks_over_tls(daemon, authority):
    d = daemon(*QUICK, *tls_settings(authority))
    assert d.urls["OTLP gRPC"].startswith("https://") and d.urls["Prometheus"].startswith("http://")
    for exporter in both_exporters(d, ca=authority.ca):
        ok, trace = export_sdk(exporter)
        assert ok
        wait_for(d, trace)
    assert d.stat("spanmill_tls_handshakes_total", listener="otlp_grpc") == 1
    assert d.stat("spanmill_tls_handshakes_total", listener="otlp_http") == 1
    assert d.stat("spanmill_tls_handshakes_failed_total") == 0
    assert d.end() == 0


def test_an_authority_that_a_client_does_not_know(daemon, authority, tmp_path):
    stranger = Authority(tmp_path / "stranger")
    d = daemon(*tls_settings(authority))
    for exporter in both_exporters(d, ca=stranger.ca, timeout=2):
        assert not export_sdk(exporter)[0]
    poll(lambda: failures(d, "refused_by_client") >= 2, "refusals are counted")
    assert d.stat("spanmill_spans_received_total") == 0


def test_plain_text_to_a_tls_port(daemon, authority):
    d = daemon(*tls_settings(authority))
    status, _ = post_otlp(d.urls["OTLP HTTP"].replace("https", "http"), b"")
    assert status == 400
    assert failures(d, "plain_text") == 1


def test_client_certificates(daemon, authority, tmp_path):
    stranger = Authority(tmp_path / "stranger")
    mine, expired, other = authority.issue("client"), authority.issue("late", days=-1), stranger.issue("client")
    d = daemon(*QUICK, *tls_settings(authority, f"tls.client_ca={authority.ca}"))
    for exporter in both_exporters(d, ca=authority.ca, mine=mine):
        ok, trace = export_sdk(exporter)
        assert ok
        wait_for(d, trace)
    for wrong in (None, expired, other):
        for exporter in both_exporters(d, ca=authority.ca, mine=wrong, timeout=2):
            assert not export_sdk(exporter)[0]
    assert failures(d, "no_certificate") >= 2
    assert failures(d, "bad_certificate") >= 4
    assert d.stat("spanmill_spans_received_total") == 2


def test_settings_of_the_documentation(daemon, authority, tmp_path, monkeypatch):
    """What docs/clients.md tells OpenTelemetry's SDKs to set, all at once."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

    tokens = tmp_path / "tokens"
    tokens.write_text("TOKEN\n")
    cert, key = authority.issue("client")
    d = daemon(*QUICK, *tls_settings(authority, f"tls.client_ca={authority.ca}", f"auth.tokens={tokens}"))
    for name, value in (("CERTIFICATE", authority.ca), ("CLIENT_CERTIFICATE", cert), ("CLIENT_KEY", key),
                        ("HEADERS", "authorization=Bearer%20TOKEN")):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(value))
    for make, url in ((Grpc, d.urls["OTLP gRPC"]), (Http, d.urls["OTLP HTTP"].removesuffix("/v1/traces"))):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        ok, trace = export_sdk(make())
        assert ok
        wait_for(d, trace)


def serial(url, ca):
    """Serial number of the certificate that is shown; SSLError when it is not to be trusted."""
    context = ssl.create_default_context(cafile=str(ca))
    host, port = address_of(url).rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname=host) as connection:
            return connection.getpeercert()["serialNumber"]


def test_certificates_are_replaced_while_it_runs(daemon, authority):
    d = daemon(*QUICK, *tls_settings(authority))
    url = d.urls["OTLP HTTP"]
    context = ssl.create_default_context(cafile=str(authority.ca))
    standing = http.client.HTTPSConnection(address_of(url), context=context, timeout=10)
    first = serial(url, authority.ca)

    def use_standing():
        standing.request("POST", "/v1/traces", otlp((TRACE, 1, 0, "x")), {"content-type": "application/x-protobuf"})
        with standing.getresponse() as reply:
            return reply.status

    assert use_standing() == 200
    cert, _ = authority.issue("server")  # nobody is told
    poll(lambda: serial(url, authority.ca) != first, "the new certificate")
    second = serial(url, authority.ca)
    cert.write_text("no certificate")
    d.process.send_signal(signal.SIGHUP)
    poll(lambda: d.event("not_reloaded"), "the log says so")
    assert d.event("not_reloaded")["what"] == "certificate" and str(cert) in d.event("not_reloaded")["why"]
    assert d.stat("spanmill_tls_reloads_failed_total", listener="otlp_http") >= 1
    assert serial(url, authority.ca) == second
    authority.issue("server", days=20)
    d.process.send_signal(signal.SIGHUP)
    poll(lambda: serial(url, authority.ca) != second, "the next certificate")
    assert d.stat("spanmill_tls_certificate_expiry_timestamp_seconds", listener="otlp_http") > 0
    assert use_standing() == 200  # the connection from before is still there
    assert d.end() == 0


def test_files_that_cannot_be_used(authority, tmp_path):
    cert, key = authority.issue("a")
    _, other_key = authority.issue("b")
    tokens = tmp_path / "tokens"
    tokens.write_text("hush hush\n")
    for setting, word in ((f"tls={{cert: {cert}, key: {other_key}}}", "key values mismatch"),
                          (f"tls={{cert: {tmp_path}/none, key: {key}}}", f"{tmp_path}/none"),
                          (f"auth.tokens={tokens}", "tokens:1: not a token")):
        listen = [f"listen.{name}=127.0.0.1:0" for name in ("otlp_http", "query", "metrics")]
        off = [f"listen.{name}=off" for name in ("otlp_grpc", "zipkin", "jaeger_udp_compact", "jaeger_udp_binary", "jaeger_http",
                                                 "jaeger_grpc", "jaeger_sampling")]
        arguments = [part for s in (*listen, *off, "store.enabled=false", setting) for part in ("--set", s)]
        ended = run("run", *arguments)
        assert ended.returncode == 1
        assert word in ended.stderr and "hush" not in ended.stderr


# ---- credentials ----


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_tokens(daemon, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# senders\nsesame-1\nsesame-2\n")
    d = daemon(*QUICK, f"auth.tokens={tokens}", f"listeners=[{OPEN_TO_TESTS}]")
    for token in ("sesame-1", "sesame-2"):
        for exporter in both_exporters(d, headers={"authorization": f"Bearer {token}"}):
            ok, trace = export_sdk(exporter)
            assert ok
            wait_for(d, trace)
    for headers in ({}, {"authorization": "Bearer wrong-one"}, {"authorization": basic("a:b")}):
        for exporter in both_exporters(d, headers=headers, timeout=2):
            assert not export_sdk(exporter)[0]
    status, headers = post_otlp(d.urls["OTLP HTTP"], otlp((TRACE, 1, 0, "x")))
    assert status == 401 and headers["www-authenticate"].startswith("Bearer ")
    for name in ("Zipkin", "Jaeger HTTP", "Jaeger sampling"):
        assert post_otlp(d.urls[name], b"[]")[0] == 401
    assert d.stat("spanmill_listener_requests_refused_total", listener="otlp_http", reason="credentials_wrong") == 1
    assert d.stat("spanmill_spans_received_total") == 4

    tokens.write_text("sesame-3\n")
    poll(lambda: post_otlp(d.urls["OTLP HTTP"], otlp((TRACE, 1, 0, "x")), {"authorization": "Bearer sesame-3"})[0] == 200,
         "the new token")
    assert post_otlp(d.urls["OTLP HTTP"], b"", {"authorization": "Bearer sesame-1"})[0] == 401
    assert d.event("reloaded")["what"] == "credentials"
    metrics = get(d.urls["Prometheus"])
    assert d.end() == 0
    for text in ("".join(d.raw), metrics):
        assert "sesame" not in text and "wrong-one" not in text


def test_basic_authentication(daemon, tmp_path):
    users = tmp_path / "users"
    hashed = subprocess.run(["openssl", "passwd", "-6", "pass:word"], check=True, capture_output=True, text=True).stdout
    users.write_text(f"grafana:{hashed}")
    d = daemon(*QUICK, f"auth.users={users}", "listeners=[{name: metrics, auth: {users: off}}]")
    query = d.urls["Query"] + "api/services"
    for _ in range(50):
        assert json.loads(get(query, authorization=basic("grafana:pass:word")))["data"] == []
    for wrong in ({}, {"authorization": basic("grafana:passw")}, {"authorization": "Bearer x"}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(query, **wrong)
        assert refused.value.code == 401 and refused.value.headers["www-authenticate"].startswith("Basic ")
    assert d.stat("spanmill_auth_password_hashes_total") == 2
    span = [{"traceId": "a" * 16, "id": "b" * 16, "name": "x", "localEndpoint": {"serviceName": "s"}}]
    curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", "grafana:pass:word", "-H", "content-type: application/json",
            "-d", json.dumps(span), d.urls["Zipkin"]]
    assert subprocess.run(curl, capture_output=True, text=True, check=True).stdout == "202"
    assert d.end() == 0
    assert "pass:word" not in "".join(d.raw) and hashed.strip() not in "".join(d.raw)


def test_metrics_behind_a_token(daemon, authority, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("scraper\n")
    cert, key = authority.issue("server")
    d = daemon(f"tls.cert={cert}", f"tls.key={key}", f"auth.tokens={tokens}")
    context = ssl.create_default_context(cafile=str(authority.ca))

    def status(url, **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context, timeout=10) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    url = d.urls["Prometheus"]
    assert url.startswith("https://")
    assert status(url) == 401
    assert status(url, authorization="Bearer scraper") == 200
    assert status(url.replace("/metrics", "/-/healthy")) == 200
    assert status(url.replace("/metrics", "/-/ready")) == 200
    assert status(d.urls["Query"] + "api/services") == 401
    assert status(d.urls["Query"] + "api/services", authorization="Bearer scraper") == 200


def test_subcommands_at_a_guarded_daemon(daemon, authority, tmp_path):
    tokens, users = tmp_path / "tokens", tmp_path / "users"
    tokens.write_text("sesame\n")
    hashed = subprocess.run(["openssl", "passwd", "-6", "pass"], check=True, capture_output=True, text=True).stdout
    users.write_text(f"me:{hashed}")
    cert, key = authority.issue("server")
    mine = authority.issue("client")
    d = daemon(*QUICK, f"tls.cert={cert}", f"tls.key={key}", f"tls.client_ca={authority.ca}", f"auth.tokens={tokens}",
               f"auth.users={users}", "listeners=[{name: metrics, tls: {cert: off}, auth: {tokens: off, users: off}}]")
    files = {"SPANMILL_CA": str(authority.ca), "SPANMILL_CERT": str(mine[0]), "SPANMILL_KEY": str(mine[1])}
    urls = {f"--{name}": d.urls[protocol].split("/v1")[0].split("/api")[0] for name, protocol in (("otlp", "OTLP HTTP"), ("zipkin", "Zipkin"))}
    arguments = [part for pair in urls.items() for part in pair]

    def run_as(*command, **more):
        return run(*command, env={**os.environ, **more})

    sent = run_as("demo", "--count", "20", "--rate", "500", *arguments, **files, SPANMILL_TOKEN="sesame")
    assert sent.returncode == 0, sent.stderr

    def graph(**more):
        return run_as("graph", "--from", d.urls["Query"].rstrip("/"), "--format", "csv", **more)

    poll(lambda: '"frontend"' in graph(**files, SPANMILL_USER="me:pass").stdout, "the demo's graph")
    for refused in (graph(**files), graph(**files, SPANMILL_TOKEN="sesame-not"), graph(SPANMILL_TOKEN="sesame")):
        assert refused.returncode == 1 and "sesame" not in refused.stderr
    assert "credentials are missing" in graph(**files).stderr


def test_nobody_notices_a_reload(daemon, authority, tmp_path):
    """Certificates and tokens change while requests come on new connections: none is refused."""
    tokens = tmp_path / "tokens"
    tokens.write_text("sesame\n")
    d = daemon(*QUICK, *tls_settings(authority, f"auth.tokens={tokens}"))
    context = ssl.create_default_context(cafile=str(authority.ca))
    statuses, stop = [], threading.Event()

    def send(sender):
        while not stop.is_set():
            statuses.append(post_otlp(d.urls["OTLP HTTP"], otlp((TRACE + sender, len(statuses) + 1, 0, "x")),
                                      {"authorization": "Bearer sesame"}, context)[0])

    senders = [threading.Thread(target=send, args=(i,)) for i in range(4)]
    for sender in senders:
        sender.start()
    for i in range(10):
        authority.issue("server")
        fresh = tmp_path / "tokens.new"
        fresh.write_text(f"sesame\nother-{i}\n")
        os.rename(fresh, tokens)
        d.process.send_signal(signal.SIGHUP)
        poll(lambda: d.stat("spanmill_auth_reloads_total") > i, "the reload")
    stop.set()
    for sender in senders:
        sender.join()
    assert len(statuses) > 20 and set(statuses) == {200}
    assert d.stat("spanmill_tls_reloads_failed_total") == 0 == d.stat("spanmill_auth_reloads_failed_total")
    assert d.stat("spanmill_spans_received_total") == len(statuses)
    assert d.end() == 0


# ---- pages of other sites ----


def test_pages_of_other_sites(daemon):
    d = daemon(*QUICK, "cors={origins: ['https://*.shop.example', 'http://localhost:*'], headers: [x-tenant]}",
               "listeners=[{name: zipkin, cors: {origins: off}}]")
    url = d.urls["OTLP HTTP"]

    def ask(url, method, origin, body=None, **more):
        request = urllib.request.Request(url, data=body, method=method, headers={"origin": origin, **more})
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, dict(reply.headers)
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers)

    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-tenant"}
    status, headers = ask(url, "OPTIONS", "https://www.shop.example", **preflight)
    assert status == 204
    assert headers["access-control-allow-origin"] == "https://www.shop.example"
    assert "x-tenant" in headers["access-control-allow-headers"] and headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-max-age"] == "3600" and headers["vary"] == "origin"
    json_body = json.dumps({"resourceSpans": []}).encode()
    status, headers = ask(url, "POST", "http://localhost:3000", json_body, **{"content-type": "application/json"})
    assert status == 200 and headers["access-control-allow-origin"] == "http://localhost:3000"
    assert ask(url, "OPTIONS", "https://evil.example", **preflight)[0] == 403
    assert "access-control-allow-origin" not in ask(d.urls["Zipkin"], "OPTIONS", "https://www.shop.example", **preflight)[1]
    assert "access-control-allow-origin" not in ask(d.urls["Query"] + "api/services", "GET", "https://www.shop.example")[1]


PAGE = """<!doctype html><body>pending<script>
const span = (id, name) => JSON.stringify({resourceSpans: [{resource: {attributes: [{key: "service.name", value: {stringValue: "page"}}]},
  scopeSpans: [{spans: [{traceId: TRACE, spanId: id, name, kind: 1, startTimeUnixNano: "1700000000000000000",
                         endTimeUnixNano: "1700000000100000000"}]}]}]});
const send = (id, name, headers) => fetch(OTLP, {method: "POST", body: span(id, name), headers: {"content-type": "application/json", ...headers}})
  .then(reply => reply.status, () => "blocked");
(async () => {
  const results = [await send("000000000000000a", "fetched", {authorization: "Bearer sesame", "x-tenant": "a"}),
                   await send("000000000000000b", "no-token", {}),
                   await send("000000000000000c", "other-header", {authorization: "Bearer sesame", "x-other": "a"}),
                   await fetch(QUERY, {headers: {authorization: "Bearer sesame"}}).then(reply => reply.status, () => "blocked"),
                   navigator.sendBeacon(OPEN, new Blob([span("000000000000000d", "beacon")], {type: "application/json"}))];
  document.body.textContent = "results " + results.join(" ");
})();
</script></body>"""


@pytest.mark.skipif(not shutil.which("chromium-headless-shell"), reason="no chromium-headless-shell")
def test_a_browser(daemon, tmp_path):
    """A page of another origin sends spans by fetch and by sendBeacon, and reads nothing."""
    tokens = tmp_path / "tokens"
    tokens.write_text("sesame\n")
    d = daemon(*QUICK, f"auth.tokens={tokens}", "cors={origins: ['http://localhost:*'], headers: [x-tenant]}",
               f"listeners=[{OPEN_TO_TESTS}, {{name: otlp_grpc, auth: {{tokens: off}}}}]")
    page = PAGE
    for name, value in (("TRACE", f"{TRACE:032x}"), ("OTLP", d.urls["OTLP HTTP"]), ("QUERY", d.urls["Query"] + "api/services"),
                        ("OPEN", d.urls["OTLP gRPC"] + "/v1/traces")):
        page = re.sub(rf"\b{name}\b", json.dumps(value), page)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shell = ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom",
             f"--user-data-dir={tmp_path}/profile", f"http://localhost:{server.server_port}/"]
    shown = subprocess.run(shell, capture_output=True, text=True, timeout=60).stdout
    server.shutdown()
    server.server_close()
    assert re.search(r"results (.*?)<", shown).group(1) == "200 401 blocked blocked true"
    poll(lambda: d.stored_spans(TRACE) == ["beacon", "fetched"], "both spans")


# ---- addresses ----


def test_sockets_in_the_file_system(daemon, tmp_path):
    grpc_path, http_path, query_path = tmp_path / "grpc.sock", tmp_path / "http.sock", tmp_path / "query.sock"
    settings = (f"listen.otlp_grpc=unix:{grpc_path}", f"listen.otlp_http=unix:{http_path}", f"listen.query=unix:{query_path}",
                "listen.socket_mode=0600")
    d = daemon(*QUICK, "workers=4", *settings)
    assert d.urls["OTLP gRPC"] == f"unix:{grpc_path}"
    assert stat.S_IMODE(grpc_path.stat().st_mode) == 0o600
    ok, trace = export_sdk(grpc_exporter(f"unix:{grpc_path}"))
    assert ok

    def curl(path, *arguments):
        return subprocess.run(["curl", "-s", "--unix-socket", str(path), *arguments], capture_output=True, check=True).stdout

    body = tmp_path / "body"
    body.write_bytes(otlp((TRACE, 1, 0, "by-curl")))
    for _ in range(8):  # all workers listen
        curl(http_path, "http://localhost/v1/traces", "-H", "content-type: application/x-protobuf", "--data-binary", f"@{body}")

    def stored(trace):
        reply = json.loads(curl(query_path, f"http://localhost/api/traces/{trace:032x}"))
        return [span["operationName"] for span in reply["data"][0]["spans"]] if reply.get("data") else None

    poll(lambda: stored(trace) == ["from-sdk"], "by gRPC")
    poll(lambda: stored(TRACE) == ["by-curl"], "by curl")
    off = [f"listen.{name}=off" for name in ("zipkin", "jaeger_udp_compact", "jaeger_udp_binary", "jaeger_http", "jaeger_grpc",
                                             "jaeger_sampling", "metrics")]
    arguments = [part for s in (*settings, *off, "store.enabled=false") for part in ("--set", s)]
    second = run("run", *arguments)
    assert second.returncode == 1 and "Address already in use" in second.stderr
    assert curl(query_path, "http://localhost/api/services")  # the first one has not noticed
    d.kill()
    assert http_path.exists()
    d = daemon(*QUICK, *settings, again=d)  # what a dead process left behind is in nobody's way
    assert curl(query_path, "http://localhost/api/services")
    assert d.end() == 0
    assert not query_path.exists() and not http_path.exists() and not grpc_path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    ended = run("run", "--set", f"listen.otlp_grpc=unix:{precious}", "--set", f"store.path={tmp_path}/data")
    assert ended.returncode == 1 and "something else than a socket" in ended.stderr
    assert precious.read_text() == "kept"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6(daemon):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    d = daemon(*QUICK, "listen.otlp_grpc=[::1]:0", "listen.otlp_http=[::]:0", "listen.metrics=[::1]:0")
    assert d.urls["OTLP gRPC"].startswith("http://[::1]:")
    ok, trace = export_sdk(grpc_exporter(d.urls["OTLP gRPC"]))
    assert ok
    wait_for(d, trace)
    port = address_of(d.urls["OTLP HTTP"]).rsplit(":", 1)[1]
    for trace, host in enumerate(("127.0.0.1", "[::1]"), TRACE):
        assert post_otlp(f"http://{host}:{port}/v1/traces", otlp((trace, 1, 0, "x")))[0] == 200
        wait_for(d, trace, "x")


# ---- limits ----


def test_limits_of_single_listeners(daemon):
    d = daemon("limits.body_bytes_max=64KiB", "limits.inflate_ratio_max=10000",
               "listeners=[{name: zipkin, limits: {body_bytes_max: 4KiB, inflate_ratio_max: 2}}, "
               "{name: jaeger_http, limits: {idle_timeout: 200ms}}]")
    assert post_otlp(d.urls["OTLP HTTP"], b"\0" * 2000)[0] == 400
    assert post_otlp(d.urls["Zipkin"], b"[" + b" " * 5000 + b"]")[0] == 413
    assert post_otlp(d.urls["OTLP HTTP"], b"\0" * 70000)[0] == 413
    # Two million spaces are a body of 2 KB: allowed here, too much there.
    packed = gzip.compress(b" " * 2_000_000)
    assert post_otlp(d.urls["OTLP HTTP"], packed, {"content-encoding": "gzip", "content-type": "application/json"})[0] == 400
    assert post_otlp(d.urls["Zipkin"], packed, {"content-encoding": "gzip", "content-type": "application/json"})[0] == 413
    assert d.stat("spanmill_listener_requests_refused_total", listener="zipkin", reason="body_too_large") == 1
    host, port = address_of(d.urls["Jaeger HTTP"]).rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as silent:
        assert silent.recv(1) == b""
    assert d.stat("spanmill_listener_connections_cut_total", listener="jaeger_http", reason="idle") == 1


def test_memory_that_a_zstd_body_asks_for(daemon):
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters(window_log=24, compression_level=1)
    body = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = body.compress(otlp((TRACE, 1, 0, "x"))) + body.flush()
    d = daemon(*QUICK, "listeners=[{name: otlp_grpc, limits: {zstd_window_max: 16MiB}}]")
    headers = {"content-encoding": "zstd"}
    assert post_otlp(d.urls["OTLP HTTP"], body, headers)[0] == 413
    assert post_otlp(d.urls["OTLP gRPC"] + "/v1/traces", body, headers)[0] == 200


def test_old_connections_are_spread_again(daemon):
    """A sender that keeps sending connects anew, and no span is lost on the way."""
    d = daemon(*QUICK, "limits.connection_age=300ms", "limits.connection_age_grace=2s")
    exporter = grpc_exporter(d.urls["OTLP gRPC"])
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    sent = 0

    def send():
        nonlocal sent
        with tracer.start_as_current_span("x"):
            sent += 1
        return d.stat("spanmill_listener_connections_cut_total", listener="otlp_grpc", reason="age") >= 3

    poll(send, "three connections that grew old")
    provider.shutdown()
    assert d.stat("spanmill_spans_received_total") == sent
    assert d.stat("spanmill_listener_connections_total", listener="otlp_grpc") >= 3
    assert d.end() == 0


# ---- abuse of HTTP/2 ----


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def goaway_of(url, frames):
    """The error code with which a connection is ended after these frames."""
    host, port = address_of(url).rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        try:
            connection.sendall(frames)
        except OSError:
            pass  # it is over already
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:
            pass
    at = 0
    while at + 9 <= len(received):
        size, kind = int.from_bytes(received[at:at + 3], "big"), received[at + 3]
        if kind == 7:
            return int.from_bytes(received[at + 13:at + 17], "big")
        at += 9 + size
    return None


def literal(index, value):
    """A header of HPACK's static table with another value, not indexed."""
    return (bytes((index,)) if index < 15 else bytes((15, index - 15))) + bytes((len(value),)) + value


# :method POST, :scheme http, :authority, :path; the second is a request whose body is welcome.
HEADERS = b"\x83\x86\x84" + literal(1, b"a")
EXPORT = (b"\x83\x86" + literal(4, b"/opentelemetry.proto.collector.trace.v1.TraceService/Export") + literal(1, b"a")
          + literal(31, b"application/grpc"))

ABUSE = {
    "resets": (b"".join(frame(1, 4, 2 * i + 1, HEADERS) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(3000)), "resets"),
    "continuations": (frame(1, 0, 1, HEADERS) + b"".join(frame(9, 0, 1, b"\x83") for _ in range(3000)), "controls"),
    "pings": (b"".join(frame(6, 0, 0, b"12345678") for _ in range(5000)), "controls"),
    "settings": (b"".join(frame(4, 0, 0) for _ in range(5000)), "controls"),
    "empty data": (frame(1, 4, 1, EXPORT) + b"".join(frame(0, 0, 1) for _ in range(5000)), "controls"),
}


@pytest.mark.parametrize("name", ABUSE)
def test_abuse_of_http2(daemon, name):
    frames, reason = ABUSE[name]
    d = daemon(*QUICK)
    enhance_your_calm = 11
    assert goaway_of(d.urls["OTLP gRPC"], frames) == enhance_your_calm
    assert d.stat("spanmill_listener_connections_cut_total", listener="otlp_grpc", reason=reason) == 1
    ok, trace = export_sdk(grpc_exporter(d.urls["OTLP gRPC"]))
    assert ok
    wait_for(d, trace)
