"""What comes as Zipkin leaves as Zipkin, what comes as Jaeger leaves as Jaeger: random spans through the daemon and back through the
query APIs, while their windows are open and out of the store. ROUND_TRIP_SEED and ROUND_TRIP_TRACES change which and how many."""
import json
import os
import pathlib
import socket
import sys
import urllib.parse
import urllib.request

import pytest

from conftest import poll, post

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))
import jaeger_model  # noqa: E402
import zipkin_model  # noqa: E402

SEED = os.environ.get("ROUND_TRIP_SEED", "1")
TRACES = int(os.environ.get("ROUND_TRIP_TRACES", "150"))
OPEN = ("windows.after_root=10m", "windows.idle=10m", "windows.max_age=10m")


def batches(rng, spans, most=40):
    """The spans in other order, some in a request; spans of a trace come with several."""
    spans = rng.sample(spans, len(spans))
    while spans:
        size = rng.randrange(1, most)
        yield spans[:size]
        spans = spans[size:]


def check_equal(found, expected):
    """Lists of spans; says where they differ first."""
    assert len(found) == len(expected), f"{len(found)} spans, expected {len(expected)}; seed {SEED}"
    for a, b in zip(found, expected):
        for key in sorted(a.keys() | b.keys()):
            assert a.get(key) == b.get(key), f"{key} is {a.get(key)}, expected {b.get(key)}; seed {SEED}"


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.loads(reply.read())


def close_windows(d, count):
    """Ends a daemon of which all spans are still open; another one on its directory reads what it stored then."""
    d.check_balance()
    assert d.stat("spanmill_spans_open") == count and d.stat("spanmill_spans_rejected_total") == 0, d.metrics()
    assert d.end() == 0


@pytest.mark.parametrize("form", zipkin_model.FORMATS)
def test_zipkin(daemon, form):
    path, content_type, write = zipkin_model.FORMATS[form]
    rng = zipkin_model.rng_of(SEED, form)
    traces = [zipkin_model.random_trace(rng) for _ in range(TRACES)]
    if "v1" in form:
        traces = [[zipkin_model.fit_for_v1(span) for span in trace] for trace in traces]
    if "protobuf" in form:  # zipkin2 leaves out annotations without a value there
        assert all(value for trace in traces for span in trace for _, value in span["annotations"])
    d = daemon(*OPEN)
    count = sum(map(len, traces))
    for batch in batches(rng, [span for trace in traces for span in trace]):
        assert post(d.urls["Zipkin"].removesuffix("/api/v2/spans") + path, write(batch), content_type)[0] == 202

    def check(one):
        for trace in traces:
            found = fetch(one.urls["Zipkin"].removesuffix("/api/v2/spans") + "/api/v2/trace/" + trace[0]["traceId"])
            check_equal(zipkin_model.canonical_list(found), zipkin_model.canonical_list(trace))

    poll(lambda: d.stat("spanmill_spans_open") == count, f"{count} spans are open")
    check(d)
    close_windows(d, count)
    check(daemon(again=d))


def send_datagram(protocol):
    def send(d, spans, process):
        agent = urllib.parse.urlsplit(d.urls[protocol])
        write = jaeger_model.compact if "compact" in protocol else jaeger_model.binary
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(write(spans, process), (agent.hostname, agent.port))

    return send


def send_batch(d, spans, process):
    assert post(d.urls["Jaeger HTTP"], jaeger_model.batch(spans, process), "application/x-thrift")[0] == 202


def send_proto(d, spans, process):
    import grpc

    with grpc.insecure_channel(urllib.parse.urlsplit(d.urls["Jaeger gRPC"]).netloc) as channel:
        call = channel.unary_unary("/jaeger.api_v2.CollectorService/PostSpans")
        call(jaeger_model.proto(spans, process, own_processes=len(spans) % 2 == 0), timeout=10)


JAEGER = {"compact": send_datagram("Jaeger UDP compact"), "binary": send_datagram("Jaeger UDP binary"), "HTTP": send_batch, "gRPC": send_proto}


@pytest.mark.parametrize("form", JAEGER)
def test_jaeger(daemon, form):
    rng = jaeger_model.rng_of(SEED, form)
    traces = [jaeger_model.random_trace(rng) for _ in range(TRACES)]
    if form == "gRPC":
        traces = [list(map(jaeger_model.without_parent, trace)) for trace in traces]
    processes = [jaeger_model.random_process(rng) for _ in range(10)]
    process_of = {}
    d = daemon(*OPEN)
    sent = 0
    for i, batch in enumerate(batches(rng, [span for trace in traces for span in trace], most=20)):
        process = rng.choice(processes)
        process_of.update((span["id"], process) for span in batch)
        JAEGER[form](d, batch, process)
        sent += len(batch)
        if i % 10 == 0:  # datagrams do not wait
            poll(lambda: d.stat("spanmill_spans_open") == sent, f"{sent} spans are open")
    poll(lambda: d.stat("spanmill_spans_open") == sent, f"{sent} spans are open")

    def check(one):
        for trace in traces:
            path = f"/api/traces/{jaeger_model.id_text(trace[0]['trace'])}?raw=true"
            expected = jaeger_model.sort_spans(jaeger_model.ui_span(span, process_of[span["id"]]) for span in trace)
            check_equal(jaeger_model.from_ui(one.query(path)["data"][0]), expected)
            found = jaeger_model.from_v3(one.query(f"/api/v3/traces/{trace[0]['trace']:032x}"))
            check_equal(found, sorted(map(jaeger_model.v3_span, trace), key=lambda s: s["spanId"]))

    check(d)
    close_windows(d, sent)
    check(daemon(again=d))
