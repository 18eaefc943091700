"""spanmill demo against the daemon: every span that it says it sent arrives, and it outlives the daemon."""
import json
import re
import signal
import subprocess

import pytest

from conftest import BINARY, QUICK, get, poll


def targets(daemon):
    jaeger = daemon.urls["Jaeger UDP compact"].removeprefix("udp://")
    return ["--otlp", daemon.urls["OTLP HTTP"], "--zipkin", daemon.urls["Zipkin"], "--jaeger", jaeger]


def sent(text):
    """traces, spans, by OTLP, by Zipkin, by Jaeger of the summary."""
    said = r"sent (\d+) traces, (\d+) spans \((\d+) by OTLP, (\d+) by Zipkin, (\d+) by Jaeger\)"
    return tuple(map(int, re.search(said, text).groups()))


def test_all_that_was_sent_is_received(daemon, spanmill):
    d = daemon(*QUICK)
    done = spanmill("demo", *targets(d), "--count", 120, "--rate", 1000, "--seed", 1)
    assert done.returncode == 0, done.stderr
    traces, spans, otlp, zipkin, jaeger = sent(done.stdout)
    assert (traces, zipkin, jaeger, spans) == (120, 2 * (120 // 8), 120 // 8, otlp + zipkin + jaeger)
    poll(lambda: d.stat("spanmill_spans_kept_total") == spans, "every span is kept")
    assert d.stat("spanmill_spans_received_total") == spans
    assert d.stat("spanmill_traces_decided_total", verdict="kept") == traces
    assert d.stat("spanmill_spans_rejected_total") == d.stat("spanmill_spans_duplicate_total") == 0
    d.check_balance()


def test_the_shop_is_in_the_service_graph(daemon, spanmill):
    d = daemon(*QUICK)
    assert spanmill("demo", *targets(d), "--count", 400, "--rate", 4000, "--seed", 2).returncode == 0
    poll(lambda: d.stat("spanmill_traces_decided_total", verdict="kept") == 400, "every trace is decided")
    expected = [
        ("user", "frontend"), ("frontend", "catalog"), ("frontend", "cart"), ("frontend", "recommendation"),
        ("frontend", "checkout"), ("frontend", "shipping"), ("checkout", "payment"), ("checkout", "shipping"),
        ("checkout", "email"), ("catalog", "shop-db"), ("cart", "cart-cache"), ("istio-ingressgateway", "frontend.shop"),
    ]
    for client, server in expected:
        poll(lambda: d.stat("traces_service_graph_request_total", client=client, server=server) > 0, f"{client} -> {server}")
    proxied = {"client": "istio-ingressgateway", "server": "frontend.shop"}
    poll(lambda: d.stat("traces_service_graph_request_total", **proxied) == 400 // 8, "every proxied request")
    poll(lambda: d.stat("traces_service_graph_request_failed_total", client="checkout", server="payment") > 0, "failures")


def test_traces_through_istio_are_whole(daemon, spanmill):
    """Ingress and sidecar by Zipkin with one id, the application by Jaeger: one trace of three spans, application last."""
    d = daemon(*QUICK)
    assert spanmill("demo", *targets(d), "--count", 80, "--rate", 1000, "--seed", 3).returncode == 0

    def traces():
        found = json.loads(get(d.urls["Query"] + "api/traces?service=istio-ingressgateway&limit=100"))["data"]
        return found if len(found) == 80 // 8 else None

    for trace in poll(traces, "ten traces through the proxies"):
        assert len(trace["spans"]) == 3
        by_service = {trace["processes"][s["processID"]]["serviceName"]: s for s in trace["spans"]}
        parent = {name: [r["spanID"] for r in s["references"]] for name, s in by_service.items()}
        # Jaeger's API gives a shared half an id of its own, below the client's half.
        assert parent["istio-ingressgateway"] == []
        assert parent["frontend.shop"] == [by_service["istio-ingressgateway"]["spanID"]]
        assert parent["frontend"] == [by_service["frontend.shop"]["spanID"]]
        process = trace["processes"][by_service["frontend"]["processID"]]
        assert {"key": "jaeger.version", "type": "string", "value": "Go-2.30.0"} in process["tags"]

    def graph():
        rows = spanmill("graph", "--from", d.urls["Query"], "-f", "csv").stdout.splitlines()
        for edge in ('"istio-ingressgateway","frontend.shop",rpc,10,', '"checkout","kafka/orders",messaging,',
                     '"kafka/orders","email",messaging,', '"catalog","shop-db",database,'):
            assert any(row.startswith(edge) for row in rows), rows
        return True

    poll(graph, "the graph")


def test_waits_for_the_daemon_and_outlives_it(daemon, tmp_path):
    first = daemon(*QUICK)
    where = targets(first)
    ports = {name: re.search(r":(\d+)", first.urls[protocol]).group(1) for name, protocol in (("otlp_http", "OTLP HTTP"), ("zipkin", "Zipkin"))}
    assert first.end() == 0
    demo = subprocess.Popen([BINARY, "demo", *where, "--rate", "50"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "waiting for the daemon" in demo.stderr.readline()
        again = [f"listen.{name}=127.0.0.1:{port}" for name, port in ports.items()]
        for _ in range(2):
            d = daemon(*QUICK, *again)
            poll(lambda: d.stat("spanmill_spans_received_total") > 100, "spans come")
            d.kill()
        poll(lambda: "waiting for the daemon" in demo.stderr.readline(), "it waits again")
        demo.send_signal(signal.SIGINT)
        text, _ = demo.communicate(timeout=10)
        assert demo.returncode == 0
        traces, spans, *_ = sent(text)
        assert traces > 0 and spans > 200 and re.search(r"waited \d times for spanmill", text)
    finally:
        demo.kill()
        demo.wait()


def test_ends_after_its_time(daemon, spanmill):
    d = daemon(*QUICK)
    done = spanmill("demo", *targets(d), "--duration", "500ms", "--rate", 100)
    assert done.returncode == 0
    assert 30 <= sent(done.stdout)[0] <= 55


def test_a_target_that_is_no_receiver_ends_it(daemon, spanmill):
    d = daemon()
    done = spanmill("demo", "--otlp", d.urls["OTLP HTTP"] + "s", "--zipkin", d.urls["Zipkin"])
    assert done.returncode == 1
    assert re.search(r"spanmill demo: http\S+/v1/tracess answered 40\d", done.stderr)


@pytest.mark.parametrize("arguments, said", [
    (["--rate", "0"], "--rate takes"), (["--rate", "many"], "--rate takes"), (["--count", "0"], "--count takes"),
    (["--count", "-1"], "--count takes"), (["--duration", "soon"], "is not a duration"), (["--seed", "x"], "--seed takes"),
    (["x"], "takes no operand"), (["--jaeger", "nowhere"], "nowhere"), (["--otlp", "ftp://h"], "is not the URL"),
])
def test_wrong_usage(spanmill, arguments, said):
    done = spanmill("demo", *arguments)
    assert done.returncode in (1, 2) and said in done.stderr
