#!/usr/bin/env python3
"""An agent in Python: two spans to spanmill's ZeroMQ ROUTER, with its answer. docs/formats/agent-protocol.md has the whole.

    pip install pyzmq msgpack
    agent.py tcp://127.0.0.1:5571
"""
import secrets
import sys
import time

import msgpack
import zmq


def deliver(socket, spans, tries=10):
    """Sends a batch until it is taken; False when it was refused for good."""
    batch = msgpack.packb({"v": 1, "resource": {"service.name": "shop"}, "scope": {"name": "example"}, "spans": spans})
    for _ in range(tries):
        socket.send(batch)
        reply = msgpack.unpackb(socket.recv())
        if reply["status"] != "retry":
            return reply["status"] == "ok" and reply["rejected"] == 0
        time.sleep(reply["retry_after_ms"] / 1000)  # on a thread that serves nothing else
    return False


def main(endpoint):
    socket = zmq.Context.instance().socket(zmq.REQ)
    socket.rcvtimeo = 10000
    socket.connect(endpoint)

    trace, request, query = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(8)
    start = time.time_ns()
    spans = [
        {"trace": trace, "id": request, "name": "GET /cart", "kind": 2, "start": start, "end": start + 12_000_000,
         "attrs": {"http.request.method": "GET", "http.response.status_code": 200}},
        {"trace": trace, "id": query, "parent": request, "name": "SELECT", "kind": 3, "start": start + 2_000_000, "end": start + 9_000_000,
         "attrs": {"db.system": "postgresql"}, "status": 2, "message": "timeout",
         "events": [{"time": start + 8_000_000, "name": "retry", "attrs": {"attempt": 1}}]},
    ]  # fmt: skip
    if not deliver(socket, spans):
        sys.exit("not taken")
    print("trace", trace.hex())


main(sys.argv[1])
