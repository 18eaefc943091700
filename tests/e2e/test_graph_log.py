"""The dependency graph outlives the daemon: the end, kill -9, damaged files; recordings that are replayed into its store."""
import gzip
import json
import signal
import time
import urllib.parse

from conftest import QUICK, get, poll
from test_graph import SECOND, a_recording, as_protobuf, send

MINUTE = 60 * SECOND


def a_while_ago():
    """Three minutes ago, at the beginning of a minute: nothing is joined to hours, nothing too old."""
    return time.time_ns() // MINUTE * MINUTE - 3 * MINUTE


def own(d):
    """The graph of the last hours with its latencies."""
    now = time.time_ns() // SECOND * 1000
    edges = d.query(f"/api/graph?start={now - 4 * 3600_000}&end={now + 60_000}")["edges"]
    assert edges
    return edges


def jaeger(d):
    links = d.query(f"/api/dependencies?endTs={int(time.time() * 1000) + 60_000}&lookback={4 * 3600_000}")["data"]
    return {(link["parent"], link["child"], link["callCount"]) for link in links}


def zipkin(d):
    where = urllib.parse.urljoin(d.urls["Zipkin"], "/api/v2/dependencies")
    links = json.loads(get(f"{where}?endTs={int(time.time() * 1000) + 60_000}&lookback={4 * 3600_000}"))
    return {(link["parent"], link["child"], link["callCount"], link.get("errorCount", 0)) for link in links}


def all_three(d):
    return own(d), jaeger(d), zipkin(d)


def expect(d, edges):
    assert zipkin(d) == edges
    assert jaeger(d) == {edge[:3] for edge in edges}
    assert {(e["parent"], e["child"], e["callCount"], e.get("errorCount", 0)) for e in own(d)} == edges


def times(edges, n):
    return {(parent, child, calls * n, errors * n) for parent, child, calls, errors in edges}


def sent(d, recording, trace, seen=0):
    """Sends the recording under new trace ids and waits until the graph has it so often as all this says."""
    send(d, [{**s, "trace": s["trace"] + trace} for s in recording.spans])
    poll(lambda: zipkin(d) == times(recording.edges(), seen + 1), "the graph has the calls")


def flushed(d):
    """Waits for two more checkpoints: the first may have begun before the calls were there."""
    for _ in range(2):
        before = d.stat("spanmill_graph_log_written_bytes_total")
        poll(lambda: d.stat("spanmill_graph_log_written_bytes_total") > before, "the graph is written")


def test_the_end_and_a_new_start(daemon):
    made = a_recording(20, a_while_ago())
    d = daemon(*QUICK)
    sent(d, made, 0)
    before = all_three(d)
    assert d.end(signal.SIGTERM) == 0
    d = daemon(*QUICK, again=d)
    assert all_three(d) == before
    sent(d, made, 1000, seen=1)  # the same minutes once more
    before = all_three(d)
    assert d.end(signal.SIGTERM) == 0
    d = daemon(*QUICK, again=d)
    assert all_three(d) == before
    assert d.stat("spanmill_graph_log_damaged_total") == d.stat("spanmill_graph_log_write_errors_total") == 0


def test_kill_9_again_and_again(daemon):
    made = a_recording(10, a_while_ago())
    d = daemon(*QUICK)
    for n in range(2):
        sent(d, made, 1000 * n, seen=n)
        flushed(d)
        before = all_three(d)
        d.kill()
        d = daemon(*QUICK, again=d)
        assert all_three(d) == before
    expect(d, times(made.edges(), 2))


def test_damaged_files_are_no_reason_not_to_start(daemon):
    made = a_recording(10, a_while_ago())
    d = daemon(*QUICK)
    sent(d, made, 0)
    assert d.end(signal.SIGTERM) == 0
    folder = d.directory / "data" / "graph"
    assert sorted(folder.glob("*"))
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        data[100] ^= 1
        file.write_bytes(data + b"torn")
    (folder / "open.graph").write_bytes(b"\0" * 5000)
    d = daemon(*QUICK, again=d)
    assert zipkin(d) == set()
    assert d.stat("spanmill_graph_log_damaged_total") > 0
    sent(d, made, 1000)
    assert d.end(signal.SIGTERM) == 0
    d = daemon(*QUICK, again=d)
    expect(d, made.edges())


def test_without_a_place_for_it_the_daemon_starts(daemon):
    d = daemon(*QUICK)
    assert d.end() == 0
    folder = d.directory / "data" / "graph"
    assert not list(folder.iterdir())
    folder.rmdir()
    folder.write_text("in the way")
    d = daemon(*QUICK, again=d)
    assert d.event("graph_log_not_opened")
    sent(d, a_recording(5, a_while_ago()), 0)
    assert d.end() == 0


def test_a_recording_that_is_replayed_again_counts_once(daemon, spanmill, tmp_path):
    made, other = a_recording(20, a_while_ago()), a_recording(7, a_while_ago() - 3600 * SECOND)
    files = [tmp_path / name for name in ("a", "a.gz", "b")]
    files[0].write_bytes(as_protobuf(made.spans))
    files[1].write_bytes(gzip.compress(as_protobuf(made.spans)))
    files[2].write_bytes(as_protobuf([{**s, "trace": s["trace"] + 500} for s in other.spans]))
    both = {(p, c, n + m, e + f) for (p, c, n, e), (_, _, m, f) in zip(sorted(made.edges()), sorted(other.edges()))}
    d = daemon(*QUICK)
    assert d.end() == 0

    def replayed(some, edges, *options):
        nonlocal d
        done = spanmill("replay", "-q", *options, "--into", f"store:{d.directory / 'data'}", *some)
        assert done.returncode == 0, done.stderr
        d = daemon(*QUICK, again=d)
        expect(d, edges)
        assert d.end() == 0

    replayed(files[:1], made.edges())
    replayed(files[:1], made.edges())
    replayed(files[1:2], made.edges(), "-j", 3)
    replayed(files[2:], both)
    replayed([files[0], files[2]], both, "--set", "rules=[{name: none, drop: true}]")
    d = daemon(*QUICK, again=d)
    send(d, [{**s, "trace": s["trace"] + 9000} for s in made.spans])  # what the daemon receives is added
    poll(lambda: dict((link[:2], link[2]) for link in zipkin(d))["web", "shop"] == 20 + 7 + 20, "the sum")
