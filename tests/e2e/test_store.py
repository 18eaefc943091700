"""What is stored can be read at once and survives: the end, kill -9, torn files."""
import http.client
import json
import random
import signal
import threading
import time
import urllib.parse

import pytest

from conftest import QUICK, get, otlp, poll, post

FOREVER = ("windows.after_root=1h", "windows.idle=1h", "windows.max_age=1h")


def send(d, *traces):
    """One span each, named after its trace."""
    status, _ = post(d.urls["OTLP HTTP"], otlp(*((t, t, 0, f"op{t}") for t in traces)))
    assert status == 200


def wait_stored(d, count):
    poll(lambda: d.stat("spanmill_store_sequence_written") >= count, f"{count} traces are stored")


def test_closed_traces_are_readable_soon(daemon):
    d = daemon(*QUICK)
    send(d, 1)
    assert poll(lambda: d.stored_spans(1), "the trace is readable", seconds=5) == ["op1"]
    wait_stored(d, 1)
    assert d.stored_spans(1) == ["op1"]
    assert d.query("/api/services")["data"] == ["svc"]
    assert json.loads(get(d.urls["Zipkin"].replace("spans", "services"))) == ["svc"]  # the receiver's port serves it too
    assert d.stat("spanmill_sink_spans_delivered_total", sink="store") == 1
    assert d.stat("spanmill_query_requests_total") >= 3
    poll(lambda: d.stat("spanmill_store_sequence_durable") == 1, "it becomes durable")
    assert d.end() == 0
    assert d.event("stopped")["spans_stored"] == "1"


def test_a_trace_that_can_be_read_stays_readable(daemon):
    """From the window over the store's sink into the store: at no moment it is nowhere."""
    d = daemon(*QUICK)
    send(d, *range(1, 21))
    seen = set()
    while d.stat("spanmill_store_sequence_written") < 20 or len(seen) < 20:
        for trace in range(1, 21):
            if d.stored_spans(trace):
                seen.add(trace)
            else:
                assert trace not in seen, f"trace {trace} is gone"
    assert d.query("/api/services")["data"] == ["svc"]


def test_the_graph_is_served(daemon):
    d = daemon(*QUICK, "rules=[{name: none, drop: true}]")
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root"), (1, 2, 1, "child")))[0] == 200
    end_ms = int(time.time() * 1000) + 60_000
    # The spans are years old: such calls count when they arrived.
    links = poll(lambda: d.query(f"/api/dependencies?endTs={end_ms}&lookback=3600000")["data"], "there is an edge")
    assert [(link["parent"], link["child"], link["callCount"]) for link in links] == [("svc", "svc", 1)]


def test_open_windows_are_stored_at_the_end(daemon):
    d = daemon(*FOREVER)
    assert post(d.urls["OTLP HTTP"], otlp((1, 1, 0, "root"), (1, 2, 1, "child"), (2, 3, 9, "orphan")))[0] == 200
    assert poll(lambda: d.stored_spans(1), "open windows are read too") == ["child", "root"]
    assert d.end(signal.SIGTERM) == 0
    assert d.event("stopped")["spans_stored"] == "3"
    again = daemon(*QUICK, again=d)
    assert again.stored_spans(1) == ["child", "root"]
    assert again.stored_spans(2) == ["orphan"]
    assert again.stored_spans(3) == []


class Load:
    """Sends traces of three spans, ten in a request, until the daemon is gone. `tried` gets every trace that was sent."""

    def __init__(self, d, tried):
        self.tried = tried
        self.address = urllib.parse.urlsplit(d.urls["OTLP HTTP"])
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=10)
        pause = threading.Event()
        try:
            while True:
                traces = range(len(self.tried) + 1, len(self.tried) + 11)
                self.tried.extend(traces)
                spans = [(t, 10 * t + i, 10 * t if i else 0, f"op{i}") for t in traces for i in range(3)]
                connection.request("POST", "/v1/traces", otlp(*spans), {"content-type": "application/x-protobuf"})
                connection.getresponse().read()
                pause.wait(0.02)
        except (OSError, http.client.HTTPException):
            pass


def readable(d, traces):
    """How many of the traces are there; each must be whole."""
    address = urllib.parse.urlsplit(d.urls["Query"])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    count = 0
    for t in traces:
        connection.request("GET", f"/api/traces/{t:032x}")
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status in (200, 404)
        if reply.status == 200:
            assert sorted(s["operationName"] for s in json.loads(body)["data"][0]["spans"]) == ["op0", "op1", "op2"]
            count += 1
    return count


def test_kill_9_under_load_keeps_what_was_stored(daemon):
    """Records are numbered over the life of the store: after a kill as many traces are there as had been reported."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    settings = (*QUICK, "windows.after_root=10ms", "store.sync=50ms")
    d = daemon(*settings)
    tried = []
    for _ in range(3):
        load = Load(d, tried)
        goal = d.stat("spanmill_store_sequence_durable") + chance.randrange(1, 100)
        metrics = poll(lambda: (m := d.metrics())["spanmill_store_sequence_durable"] >= goal and m, "traces become durable")
        d.kill()
        load.thread.join(timeout=10)
        d = daemon(*settings, again=d)
        found = readable(d, tried)
        assert found >= metrics["spanmill_store_sequence_written"] >= metrics["spanmill_store_sequence_durable"]
        assert found == d.stat("spanmill_store_traces")
        assert d.stat("spanmill_store_damaged_ranges_total") == 0
    assert d.end() == 0


def newest_segment(d):
    return max((d.directory / "data").glob("*.seg"))


def test_a_torn_tail_is_cut_by_itself(daemon):
    d = daemon(*QUICK)
    send(d, 1)
    wait_stored(d, 1)
    whole = newest_segment(d).stat().st_size
    send(d, 2)
    wait_stored(d, 2)
    d.kill()
    segment = newest_segment(d)
    torn = segment.read_bytes()[:-3]
    segment.write_bytes(torn)
    d = daemon(*QUICK, again=d)
    assert d.stat("spanmill_store_tails_cut_total") == 1
    assert d.stat("spanmill_store_tail_bytes_cut_total") == len(torn) - whole
    assert d.stored_spans(1) == ["op1"] and d.stored_spans(2) == []
    send(d, 3)
    assert poll(lambda: d.stored_spans(3), "it goes on") == ["op3"]


def test_without_a_store(daemon):
    d = daemon(*QUICK, "store.enabled=false")
    send(d, 1)
    poll(lambda: d.stat("spanmill_spans_kept_total") == 1, "kept")
    assert d.stored_spans(1) == []
    assert not (d.directory / "data").exists()
    assert not any(name.startswith("spanmill_store") for name in d.metrics())
    d.check_balance()
    assert d.end() == 0


def test_a_second_daemon_names_the_first_one(daemon, spanmill):
    """By its ports, and by its store."""
    d = daemon()
    off = [a for name in ("otlp_grpc", "otlp_http", "zipkin", "query", "metrics") for a in ("--set", f"listen.{name}=off")]
    store = ["--set", f"store.path={d.directory / 'data'}"]
    done = spanmill("run", *off, *store)
    assert done.returncode == 1
    assert f"in use by process {d.process.pid}" in done.stderr
    for protocol, key in (("OTLP HTTP", "otlp_http"), ("Query", "query"), ("Prometheus", "metrics")):
        address = urllib.parse.urlsplit(d.urls[protocol]).netloc
        done = spanmill("run", *off, "--set", f"listen.{key}={address}", "--set", "store.enabled=false")
        assert done.returncode == 1
        assert address in done.stderr and "in use" in done.stderr


def test_a_store_that_cannot_be_opened_is_named(spanmill, tmp_path):
    done = spanmill("run", "--set", f"store.path={tmp_path / 'none' / 'data'}", "--set", "listen.otlp_grpc=127.0.0.1:0",
                    "--set", "listen.otlp_http=off", "--set", "listen.zipkin=off", "--set", "listen.query=off",
                    "--set", "listen.metrics=off")
    assert done.returncode == 1
    assert "cannot_start" in done.stderr and str(tmp_path / "none" / "data") in done.stderr


@pytest.mark.parametrize("base", ["/", "/jaeger"])
def test_the_query_api_has_a_base_path(daemon, base):
    d = daemon(f"query.base_path={base}")
    assert d.urls["Query"].endswith(base)
    assert d.query("/api/services")["data"] == []
