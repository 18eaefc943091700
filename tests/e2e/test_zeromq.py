"""pyzmq and msgpack, from the registry, as agents: to PULL and to ROUTER, and back through Jaeger's API."""
import contextlib
import os
import pathlib
import subprocess
import sys

import msgpack
import pytest
import zmq

from conftest import BINARY, LISTENERS, QUICK, ROOT, poll

PULL = "listen.zeromq_pull=tcp://127.0.0.1:*"
ROUTER = "listen.zeromq_router=tcp://127.0.0.1:*"
OFF = [f"--set=listen.{name}=off" for name in LISTENERS]
AGENT_C = str(pathlib.Path(BINARY).parent / "tests" / "example_agent")
AGENT_PY = ROOT / "docs" / "examples" / "agent.py"


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


def span(trace, id_, name="GET /", **more):
    start = 1_700_000_000_000_000_000
    return {"trace": trace.to_bytes(16, "big"), "id": id_.to_bytes(8, "big"), "name": name, "kind": 2, "start": start,
            "end": start + 1_000_000, **more}  # fmt: skip


def batch(*spans, service="agent"):
    return msgpack.packb({"v": 1, "resource": {"service.name": service}, "spans": list(spans)})


def socket_to(context, kind, url, **options):
    s = context.socket(kind)
    s.linger = 1000
    s.rcvtimeo = s.sndtimeo = 10000
    for name, value in options.items():
        setattr(s, name, value)
    s.connect(url)
    return s


def answer(s):
    return msgpack.unpackb(s.recv_multipart()[-1])


def stored(d, trace, count):
    return poll(lambda: len(d.stored_spans(trace)) == count and d.stored_spans(trace), f"{count} spans of {trace:x}")


def test_push_to_pull(daemon, context):
    d = daemon(PULL, *QUICK)
    s = socket_to(context, zmq.PUSH, d.urls["ZeroMQ PULL"])
    for i in range(1, 101):
        s.send(batch(span(7, i)))
    s.send_multipart([b"topic", b"another", batch(span(7, 101, parent=(1).to_bytes(8, "big"), attrs={"n": 7, "list": [1, "a"]}))])
    stored(d, 7, 101)
    trace = d.query(f"/api/traces/{7:032x}")["data"][0]
    (one,) = [x for x in trace["spans"] if x["spanID"] == f"{101:016x}"]
    assert one["references"][0]["spanID"] == f"{1:016x}" and one["duration"] == 1000
    assert {"key": "n", "type": "int64", "value": 7} in one["tags"]
    assert trace["processes"]["p1"]["serviceName"] == "agent"
    assert d.end() == 0


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER])
def test_each_batch_is_answered(daemon, context, kind):
    d = daemon(ROUTER, *QUICK)
    s = socket_to(context, kind, d.urls["ZeroMQ ROUTER"])
    s.send(batch(span(7, 1), span(7, 2), {"trace": b"short", "id": b"\1" * 8}))
    assert answer(s) == {"v": 1, "status": "ok", "accepted": 2, "rejected": 1,
                         "text": "trace id missing, all zeros or of the wrong length"}  # fmt: skip
    s.send(msgpack.packb({"v": 2, "spans": []}))
    refused = answer(s)
    assert refused["status"] == "refused" and refused["accepted"] == 0 and "version" in refused["text"]
    s.send(batch(span(7, 3)))
    assert answer(s) == {"v": 1, "status": "ok", "accepted": 1, "rejected": 0}
    stored(d, 7, 3)
    assert d.stat("spanmill_payloads_refused_total", reason="unsupported") == 1
    assert d.stat("spanmill_spans_rejected_total", reason="invalid_trace_id") == 1
    poll(lambda: d.check_balance() is None, "every span is accounted for")
    assert d.end() == 0


def test_answers_carry_what_stood_before_the_batch(daemon, context):
    d = daemon(ROUTER, *QUICK)
    s = socket_to(context, zmq.DEALER, d.urls["ZeroMQ ROUTER"])
    for i in range(200):
        s.send_multipart([b"%d" % i, b"", batch(span(9, i + 1))])
    for i in range(200):
        number, empty, reply = s.recv_multipart()
        assert (number, empty, msgpack.unpackb(reply)["status"]) == (b"%d" % i, b"", "ok")
    stored(d, 9, 200)
    s.send_multipart([b"x"] * 8 + [batch(span(9, 201))])
    assert "frames" in answer(s)["text"]
    s.send_multipart([b"x" * 257, batch(span(9, 201))])
    assert answer(s)["status"] == "refused"
    s.send_multipart([b"x" * 256, batch(span(9, 201))])
    assert answer(s)["status"] == "ok"


def test_hostile_frames(daemon, context):
    d = daemon(PULL, ROUTER, "zeromq.message_bytes_max=64KiB", *QUICK)
    push = socket_to(context, zmq.PUSH, d.urls["ZeroMQ PULL"])
    router = socket_to(context, zmq.DEALER, d.urls["ZeroMQ ROUTER"])
    good = batch(span(7, 1))
    hostile = [b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x91" * 60000, good[:-1], good + b"\x01", b"{}", os.urandom(1000), b"\x81\xa1v\x01"]
    for payload in hostile:
        push.send(payload)
        push.send_multipart([b"x"] * 20 + [payload])
        router.send(payload)
        assert answer(router)["status"] == ("ok" if payload in (b"", b"\x81\xa1v\x01") else "refused")
    large = socket_to(context, zmq.PUSH, d.urls["ZeroMQ PULL"])
    large.send(b"\x91" * 70000)
    push.send(good)
    stored(d, 7, 1)
    assert d.stat("spanmill_payloads_refused_total", reason="undecodable") == 3 * (len(hostile) - 2)
    assert d.end() == 0


def test_what_is_not_zeromq_is_turned_away(daemon):
    import socket

    d = daemon(PULL, "zeromq.handshake_timeout=200ms", *QUICK)
    host, port = d.urls["ZeroMQ PULL"].removeprefix("tcp://").split(":")
    for greeting in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"BOGUS".ljust(20, b"\0") + bytes(33), b"", os.urandom(200)):
        with socket.create_connection((host, int(port))) as s:
            s.settimeout(10)
            s.sendall(greeting)
            with contextlib.suppress(ConnectionResetError):
                while s.recv(4096):
                    pass
    assert d.end() == 0


def keypair(directory, name):
    public, secret = zmq.curve_keypair()
    (directory / f"{name}.key").write_bytes(b'curve\n    public-key = "%s"\n' % public)
    (directory / f"{name}.secret").write_bytes(b"# a comment\n" + secret + b"\n")
    (directory / f"{name}.secret").chmod(0o600)
    return public, secret


def curve(public, secret, server):
    return {"curve_publickey": public, "curve_secretkey": secret, "curve_serverkey": server}


def test_curve_lets_known_keys_in(daemon, context, tmp_path):
    server, _ = keypair(tmp_path, "server")
    clients = tmp_path / "clients"
    clients.mkdir()
    known, unknown = keypair(clients, "known"), zmq.curve_keypair()
    d = daemon(ROUTER, PULL, f"zeromq.curve.secret_key={tmp_path / 'server.secret'}", f"zeromq.curve.clients={clients}", *QUICK)
    url = d.urls["ZeroMQ ROUTER"]
    good = socket_to(context, zmq.DEALER, url, **curve(*known, server))
    good.send(batch(span(7, 1)))
    assert answer(good)["status"] == "ok"
    push = socket_to(context, zmq.PUSH, d.urls["ZeroMQ PULL"], **curve(*known, server))
    push.send(batch(span(7, 2)))
    stored(d, 7, 2)
    refused = 0
    for options in (curve(*unknown, server), curve(*known, unknown[0]), {}):
        bad = socket_to(context, zmq.DEALER, url, **options)
        bad.send(batch(span(7, 3)))
        refused += 1
        poll(lambda: d.stat("spanmill_zeromq_handshakes_refused_total") >= refused, f"refusal {refused}")
        assert bad.poll(50) == 0
        bad.close(linger=0)
    # a key that comes later is let in, without a restart
    (clients / "later.key").write_bytes(unknown[0])

    def try_again():
        late = socket_to(context, zmq.DEALER, url, **curve(*unknown, server))
        late.send(batch(span(7, 4)))
        return late.poll(500) and answer(late)["status"] == "ok"

    poll(try_again, "the new key is let in")
    stored(d, 7, 3)
    assert d.end() == 0


def test_mistakes_in_keys_are_told(tmp_path, spanmill):
    def run(*settings):
        return spanmill("run", *OFF, "--set", f"store.path={tmp_path / 'data'}", "--set", PULL, *sum((["--set", s] for s in settings), []))

    (tmp_path / "empty").write_text("nothing\n")
    keypair(tmp_path, "server")
    for settings, says in (
        ([f"zeromq.curve.secret_key={tmp_path / 'none'}"], "No such file"),
        ([f"zeromq.curve.secret_key={tmp_path / 'empty'}"], "secret key"),
        ([f"zeromq.curve.secret_key={tmp_path / 'server.secret'}", f"zeromq.curve.clients={tmp_path / 'empty'}"], "public key"),
        (["listen.zeromq_router=tcp://127.0.0.1:1:1"], "127.0.0.1:1:1"),
    ):
        result = run(*settings)
        assert result.returncode == 1 and says in result.stderr, result
    assert "ZeroMQ endpoint" in run("listen.zeromq_pull=udp://x:1").stderr


def test_ipc_and_a_second_daemon(daemon, context, tmp_path, spanmill):
    path = tmp_path / "agents.sock"
    d = daemon(f"listen.zeromq_router=ipc://{path}", *QUICK)
    s = socket_to(context, zmq.REQ, f"ipc://{path}")
    s.send(batch(span(7, 1)))
    assert answer(s)["status"] == "ok"
    second = spanmill("run", "--set", f"listen.zeromq_router=ipc://{path}", "--set", f"store.path={tmp_path / 'other'}",
                      *OFF)  # fmt: skip
    assert second.returncode == 1 and "another process listens" in second.stderr
    s.send(batch(span(7, 2)))
    assert answer(s)["status"] == "ok"
    assert d.end() == 0


def test_connects_to_an_agent_that_binds(daemon, context):
    s = context.socket(zmq.PUSH)
    port = s.bind_to_random_port("tcp://127.0.0.1")
    d = daemon(f"listen.zeromq_pull=connect:tcp://127.0.0.1:{port}", *QUICK)
    s.sndtimeo = 10000
    s.send(batch(span(7, 1)))
    stored(d, 7, 1)
    assert d.end() == 0


def test_overload_is_told_and_nothing_pushed_is_lost(daemon, context):
    d = daemon(PULL, ROUTER, "memory.budget=16MiB", "memory.soft=60%", "windows.idle=2s", "windows.after_root=2s", "zeromq.queue_messages_max=10",
               "sinks=[]", "rules=[{name: none, drop: true}]")  # fmt: skip
    push = socket_to(context, zmq.PUSH, d.urls["ZeroMQ PULL"], sndhwm=1000, sndtimeo=60000)
    router = socket_to(context, zmq.REQ, d.urls["ZeroMQ ROUTER"])
    told = set()
    count, spans_each = 400, 100
    for i in range(count):
        push.send(batch(*(span(1000 + i * spans_each + k, k + 1, attrs={"text": "x" * 500}) for k in range(spans_each))))
        router.send(batch(span(5, i + 1)))
        reply = answer(router)
        told.add(reply["status"])
        if reply["status"] == "retry":
            assert reply["retry_after_ms"] == 1000 and reply["accepted"] == 0
    assert told == {"ok", "retry"}, told
    taken = lambda: d.stat("spanmill_spans_received_total")  # noqa: E731
    poll(lambda: taken() >= count * spans_each, "all that was pushed is taken", seconds=60)
    assert d.end() == 0


def test_many_agents(daemon, context):
    d = daemon(PULL, ROUTER, *QUICK)
    agents, each = 50, 20
    pushes = [socket_to(context, zmq.PUSH, d.urls["ZeroMQ PULL"]) for _ in range(agents)]
    dealers = [socket_to(context, zmq.DEALER, d.urls["ZeroMQ ROUTER"]) for _ in range(agents)]
    for i in range(each):
        for a in range(agents):
            pushes[a].send(batch(span(100 + a, i + 1), service=f"agent{a}"))
            dealers[a].send(batch(span(1000 + a, i + 1), service=f"agent{a}"))
    for s in dealers:
        for _ in range(each):
            assert answer(s)["status"] == "ok"
    poll(lambda: d.stat("spanmill_spans_received_total") == 2 * agents * each, "every span")
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == 2 * agents * each, "every span is stored")
    d.check_balance()
    assert d.end() == 0


@pytest.mark.parametrize("agent", ["c", "python"])
def test_examples(daemon, agent):
    command = [AGENT_C] if agent == "c" else [sys.executable, str(AGENT_PY)]
    d = daemon(ROUTER, *QUICK)
    done = subprocess.run([*command, d.urls["ZeroMQ ROUTER"]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    trace = int(done.stdout.split()[-1], 16)
    assert stored(d, trace, 2) == ["GET /cart", "SELECT"]
    spans = d.query(f"/api/traces/{trace:032x}")["data"][0]["spans"]
    child = next(s for s in spans if s["operationName"] == "SELECT")
    assert child["references"][0]["refType"] == "CHILD_OF"
    assert {"key": "db.system", "type": "string", "value": "postgresql"} in child["tags"]
    assert d.end() == 0
