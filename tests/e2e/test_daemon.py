"""Starting, serving, draining, stopping, as an operator sees it."""
import signal
import socket
import time
import urllib.error

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from conftest import BINARY, LISTENERS, QUICK, get, otlp, otlp_request, poll, post


def test_starts_with_a_line_per_listener_and_ends_clean(daemon):
    d = daemon()
    for protocol in ("OTLP gRPC", "OTLP HTTP", "Zipkin", "Prometheus"):
        assert d.urls[protocol].startswith("http://127.0.0.1:")
    base = d.urls["Prometheus"].removesuffix("/metrics")
    assert get(base + "/-/healthy") == "healthy\n"
    assert get(base + "/-/ready") == "ready\n"
    assert d.end() == 0
    assert d.event("draining") and d.event("stopped")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_drain_open_windows(daemon, collector, number):
    """Windows that would be open for an hour are decided, delivered and counted."""
    sink = collector()
    d = daemon("windows.after_root=1h", "windows.idle=1h", "windows.max_age=1h", sink.sink())
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root"), (1, 2, 1, "child"), (2, 3, 9, "orphan")))[0] == 200
    poll(lambda: d.stat("spanmill_spans_open") == 3, "spans are open")
    assert not sink.spans
    assert d.end(number) == 0
    assert sorted(span.name for _, _, span in sink.spans) == ["child", "orphan", "root"]
    stopped = d.event("stopped")
    assert (stopped["spans_received"], stopped["spans_kept"], stopped["traces_kept"]) == ("3", "3", "2")


def test_a_second_signal_forces_the_end(daemon, collector):
    """A sink that never answers holds the drain up; the second signal does not wait for it."""
    sink = collector(script=[503] * 1000)
    d = daemon(*QUICK, sink.sink())
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root")))[0] == 200
    poll(lambda: sink.requests > 0, "the sink was tried")
    d.process.send_signal(signal.SIGTERM)
    poll(lambda: d.event("draining"), "draining")
    base = d.urls["Prometheus"].removesuffix("/metrics")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(base + "/-/ready")
    assert get(base + "/-/healthy") == "healthy\n"
    assert d.stat("spanmill_sink_spans_queued", sink="collector") == 1
    assert d.end(signal.SIGTERM, seconds=10) != 0


def test_a_port_in_use_is_named(spanmill, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = [f"listen.{name}=off" for name in LISTENERS] + [f"listen.otlp_http={address}", f"store.path={tmp_path / 'd'}"]
        done = spanmill("run", *(word for setting in settings for word in ("--set", setting)))
    assert done.returncode == 1
    assert "cannot_start" in done.stderr and address in done.stderr


def test_listeners_can_be_off(daemon):
    d = daemon("listen.zipkin=off", "listen.otlp_grpc=")
    assert "Zipkin" not in d.urls and "OTLP gRPC" not in d.urls and "OTLP HTTP" in d.urls
    assert d.end() == 0


def test_a_wrong_rule_is_named_with_its_place(spanmill, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("rules:\n  - name: errors\n    when: '{ status = eror }'\n    keep: true\n")
    for command in (["check", file], ["run", "-c", file]):
        done = spanmill(*command)
        assert done.returncode == 2
        assert f"{file}:3:23: rules[0].when:" in done.stderr
        assert "error" in done.stderr


def test_rules_decide(daemon, collector):
    sink = collector()
    d = daemon(*QUICK, sink.sink(), config="rules:\n  - {name: drop-b, when: '{ name = \"b\" }', drop: true}\n")
    for i, name in enumerate("abab"):
        assert post(d.urls["OTLP HTTP"], otlp((i + 1, i + 1, 0, name)))[0] == 200
    assert [span.name for _, _, span in sink.wait(2)] == ["a", "a"]
    poll(lambda: d.stat("spanmill_traces_decided_total", verdict="dropped") == 2, "two are dropped")
    assert d.stat("spanmill_rule_traces_total", rule="drop-b", outcome="drop") == 2
    assert d.stat("spanmill_rule_traces_total", rule="default", outcome="keep") == 2
    assert d.stat("spanmill_rule_regex_limits_total") == 0
    d.check_balance()


def test_late_spans_follow_the_decision(daemon, collector):
    sink = collector()
    d = daemon(*QUICK, sink.sink(), "rules=[{name: b, when: '{ name = \"b\" }', drop: true}]")
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "a"), (2, 2, 0, "b")))[0] == 200
    sink.wait(1)
    poll(lambda: d.stat("spanmill_spans_sampled_out_total") == 1, "b is dropped")
    assert post(d.urls["OTLP HTTP"], otlp((1, 3, 1, "late a"), (2, 4, 2, "late b")))[0] == 200
    assert {span.name for _, _, span in sink.wait(2)} == {"a", "late a"}
    poll(lambda: d.stat("spanmill_spans_sampled_out_total") == 2, "late b is dropped")
    poll(lambda: d.stored_spans(1) == ["a", "late a"], "the store puts the parts together")
    assert d.stored_spans(2) == []
    d.check_balance()


def test_a_sick_sink_is_retried(daemon, collector):
    sink = collector(script=[503, 503, 429])
    d = daemon(*QUICK, sink.sink(retry="{initial: 10ms, max: 50ms}"))
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root")))[0] == 200
    sink.wait(1)
    assert sink.requests == 4
    poll(lambda: d.stat("spanmill_sink_retries_total") == 3, "retries are counted")


def test_secrets_go_to_the_sink_and_nowhere_else(daemon, collector, monkeypatch):
    monkeypatch.setenv("SINK_TOKEN", "hush-hush")
    sink = collector(script=[400])
    d = daemon(*QUICK, sink.sink(headers="{authorization: 'Bearer ${SINK_TOKEN}'}"), "log.level=debug")
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root")))[0] == 200
    poll(lambda: d.stat("spanmill_sink_spans_rejected_total") == 1, "the sink refused")
    assert {key.lower(): value for key, value in sink.headers[0].items()}["authorization"] == "Bearer hush-hush"
    text = get(d.urls["Prometheus"])
    assert d.end() == 0
    assert "hush" not in text and "hush" not in str(d.log)


@pytest.mark.parametrize(
    "path, content_type, body, status",
    [
        ("OTLP HTTP", "application/x-protobuf", b"\xff", 400),
        ("OTLP HTTP", "application/json", b"{", 400),
        ("OTLP HTTP", "application/json", b"{}", 200),
        ("OTLP HTTP", "text/plain", b"x", 415),
        ("OTLP HTTP", "application/x-protobuf", b"", 200),
        ("Zipkin", "application/json", b"[", 400),
        ("Zipkin", "application/json", b"[]", 202),
    ],
)
def test_bad_and_empty_bodies(daemon, path, content_type, body, status):
    d = daemon()
    assert post(d.urls[path], body, content_type)[0] == status
    if status == 400:
        assert d.stat("spanmill_payloads_refused_total", reason="undecodable") == 1
    d.check_balance()


def test_spans_that_break_a_limit_are_refused_one_by_one(daemon):
    d = daemon(*QUICK)
    status, reply = post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "good"), (0, 2, 0, "no trace id"), (3, 0, 0, "no span id")))
    assert status == 200
    assert ExportTraceServiceResponse.FromString(reply).partial_success.rejected_spans == 2
    poll(lambda: d.stat("spanmill_spans_kept_total") == 1, "the good one is kept")
    assert d.stat("spanmill_spans_rejected_total", reason="invalid_trace_id") == 1
    assert d.stat("spanmill_spans_rejected_total", reason="invalid_span_id") == 1
    d.check_balance()


@pytest.mark.skipif("tsan" in BINARY, reason="ThreadSanitizer does not know of the threads that librdkafka starts")
def test_kafka_brokers_that_are_not_there(daemon):
    """The log says so; everything else works, and the end does not wait for them. With a broker: test_kafka.py."""
    d = daemon(*QUICK, "kafka=[{name: spans, brokers: '127.0.0.1:9', topics: spans, dead_letter: dead}]")
    poll(lambda: d.event("kafka_unreachable"), "the log says so")
    assert get(d.urls["Prometheus"].replace("/metrics", "/-/ready"))
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root")))[0] == 200
    poll(lambda: d.stored_spans(1), "it is stored")
    assert d.stat("spanmill_kafka_messages_total") == 0
    started = time.monotonic()
    assert d.end() == 0
    assert time.monotonic() - started < 20


def test_memory_of_a_burst_is_given_back(daemon):
    """What ten windows have not needed goes back to the allocator; what they need is kept."""
    d = daemon("windows.after_root=300ms", "windows.idle=300ms", "store.enabled=false")
    body = otlp_request([{"trace": 1 << 100 | trace, "id": 1, "name": "x" * 400} for trace in range(1, 3000)])
    for _ in range(30):
        post(d.urls["OTLP HTTP"], body)
    burst = d.stat("spanmill_memory_bytes")
    poll(lambda: d.stat("spanmill_spans_open") == 0, "the windows close")
    poll(lambda: d.stat("spanmill_memory_bytes") < burst / 2, "memory is given back", 30)
