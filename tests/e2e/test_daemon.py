"""Starting, serving, draining, stopping, as an operator sees it."""
import re
import signal
import socket
import subprocess
import time
import urllib.error

import grpc
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

    def ended():
        d.ended = True
        d.process.send_signal(signal.SIGTERM)
        return d.process.poll() is not None

    poll(ended, "it ends at once", seconds=10)
    d.reader.join(timeout=10)
    assert d.process.returncode == 1
    assert d.event("forced_exit")["signal"] == "Terminated"


def test_what_sinks_did_not_get_is_in_the_last_line(daemon, collector):
    sink = collector(script=[400])
    d = daemon(*QUICK, sink.sink())
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root"), (1, 2, 1, "child")))[0] == 200
    poll(lambda: d.stat("spanmill_sink_spans_rejected_total", sink="collector") == 2, "the sink refuses them")
    assert d.end() == 0
    assert (d.event("stopped")["spans_stored"], d.event("stopped")["spans_undelivered"]) == ("2", "2")


def test_a_signal_that_a_wrapper_sends_again_is_one(daemon, collector):
    """Ctrl-C reaches the daemon from the terminal, and once more from what it runs under (timeout, npm). Meanwhile it delivers."""
    sink = collector(script=[503])
    d = daemon("windows.after_root=1h", "windows.idle=1h", "windows.max_age=1h", sink.sink())
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root")))[0] == 200
    poll(lambda: d.stat("spanmill_spans_open") == 1, "a span is open")
    d.process.send_signal(signal.SIGINT)
    poll(lambda: d.event("draining"), "draining")
    assert d.end(signal.SIGINT) == 0
    assert len(sink.spans) == 1 and d.event("stopped")["spans_kept"] == "1"


def test_says_what_it_is_and_what_it_has(daemon):
    d = daemon(config="rules: [{name: all, ratio: 50%}]\n")
    assert d.event("starting")["config"] == str(d.directory / "spanmill.yaml")
    assert re.fullmatch(r"\d+\.\d+\.\d+", d.event("starting")["version"])
    ready = d.event("ready")
    assert (ready["workers"], ready["memory_budget_bytes"], ready["rules"]) == ("2", str(1 << 30), "1")
    assert (ready["store"], ready["sinks"]) == (str(d.directory / "data"), "0")


def test_sighup_says_what_it_loads(daemon):
    d = daemon()
    d.process.send_signal(signal.SIGHUP)
    poll(lambda: d.event("reload"), "the log says so")
    assert "other settings need a restart" in d.event("reload")["hint"]
    assert get(d.urls["Prometheus"].removesuffix("/metrics") + "/-/ready") == "ready\n"
    assert d.end() == 0


def test_a_port_in_use_is_named(spanmill, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = [f"listen.{name}=off" for name in LISTENERS] + [f"listen.otlp_http={address}", f"store.path={tmp_path / 'd'}"]
        done = spanmill("run", *(word for setting in settings for word in ("--set", setting)))
    assert done.returncode == 1
    assert "cannot_start" in done.stderr
    assert f'listen.otlp_http: cannot listen on \\"{address}\\": Address already in use' in done.stderr


@pytest.mark.parametrize("name", ["query", "metrics", "otlp_grpc"])
def test_an_address_that_is_not_ours_is_named(spanmill, tmp_path, name):
    settings = [f"listen.{other}=off" for other in LISTENERS] + [f"listen.{name}=192.0.2.1:0", f"store.path={tmp_path / 'd'}"]
    done = spanmill("run", *(word for setting in settings for word in ("--set", setting)))
    assert done.returncode == 1
    assert f"listen.{name}: cannot listen on" in done.stderr


def test_files_that_are_not_there_are_named(spanmill, tmp_path):
    for key in ("cert", "key"):
        files = {"cert": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
        for file in files.values():
            file.unlink(missing_ok=True)
        if key == "key":
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x", "-keyout", tmp_path / "other.pem",
                            "-out", files["cert"]], check=True, capture_output=True)
        done = spanmill("run", "--set", f"tls.cert={files['cert']}", "--set", f"tls.key={files['key']}", "--set", "store.enabled=false")
        assert done.returncode == 1
        assert f'why="{files[key]}: No such file or directory"' in done.stderr


def test_listeners_can_be_off(daemon):
    d = daemon("listen.zipkin=off", "listen.otlp_grpc=")
    assert "Zipkin" not in d.urls and "OTLP gRPC" not in d.urls and "OTLP HTTP" in d.urls
    assert d.end() == 0


def test_otlp_over_grpc_and_http_on_one_port(daemon):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    d = daemon(*QUICK, f"listen.otlp_grpc={address}", f"listen.otlp_http={address}")
    assert d.urls["OTLP gRPC"] == f"http://{address}" and d.urls["OTLP HTTP"] == f"http://{address}/v1/traces"
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "over http")))[0] == 200
    with grpc.insecure_channel(address) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        assert export(otlp((2, 2, 0, "over grpc")), timeout=10) == b""
    sockets = [line.split() for line in open("/proc/net/tcp")]
    port = f"{int(address.rpartition(':')[2]):04X}"
    listening = [line for line in sockets if line[1].endswith(f":{port}") and line[3] == "0A"]
    assert len(listening) == 2, "one for each worker"
    poll(lambda: d.stored_spans(1) == ["over http"] and d.stored_spans(2) == ["over grpc"], "both are stored")
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


def test_the_log_tells_who_sends_rubbish(daemon):
    d = daemon("workers=1")
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "well")))[0] == 200
    for protocol, path, content_type in (("OTLP HTTP", "/v1/traces", "application/x-protobuf"),
                                         ("Zipkin", "/api/v2/spans", "application/json")):
        for name in ("shop/1.2", "cart/3.4"):
            assert post(d.urls[protocol], b"rubbish", content_type, **{"user-agent": name})[0] == 400
        told = poll(lambda: [line for line in d.log if line.get("event") == "payload_refused" and line["path"] == path], "the log says so")
        assert [line["user_agent"] for line in told] == ["shop/1.2"] and told[0]["reason"]
    assert post(d.urls["Zipkin"], b"rubbish", "application/json", **{"content-encoding": "gzip"})[0] == 400
    assert d.stat("spanmill_payloads_refused_total", reason="undecodable") == 5


def test_spans_that_break_a_limit_are_refused_one_by_one(daemon):
    d = daemon(*QUICK)
    status, reply = post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "good"), (0, 2, 0, "no trace id"), (3, 0, 0, "no span id")))
    assert status == 200
    assert ExportTraceServiceResponse.FromString(reply).partial_success.rejected_spans == 2
    poll(lambda: d.stat("spanmill_spans_kept_total") == 1, "the good one is kept")
    assert d.stat("spanmill_spans_rejected_total", reason="invalid_trace_id") == 1
    assert d.stat("spanmill_spans_rejected_total", reason="invalid_span_id") == 1
    d.check_balance()


def test_memory_of_a_burst_is_given_back(daemon):
    """What ten windows have not needed goes back to the allocator; what they need is kept."""
    d = daemon("windows.after_root=300ms", "windows.idle=300ms", "store.enabled=false")
    body = otlp_request([{"trace": 1 << 100 | trace, "id": 1, "name": "x" * 400} for trace in range(1, 3000)])
    for _ in range(30):
        post(d.urls["OTLP HTTP"], body)
    burst = d.stat("spanmill_memory_bytes")
    poll(lambda: d.stat("spanmill_spans_open") == 0, "the windows close")
    poll(lambda: d.stat("spanmill_memory_bytes") < burst / 2, "memory is given back", 30)


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
