"""jaeger-client, Jaeger's own client from the registry, through spanmill's agent port, and back through Jaeger's API."""
import socket
import time
import urllib.parse

import opentracing
import pytest
from jaeger_client import Config
from jaeger_client.constants import DEBUG_FLAG
from jaeger_client.thrift_gen.agent import Agent
from jaeger_client.thrift_gen.zipkincore.ttypes import Annotation, AnnotationType, BinaryAnnotation, Endpoint, Span
from opentracing.ext import tags
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from conftest import QUICK, poll, post


def tracer_of(daemon, service, **config):
    """A tracer whose spans go to the daemon's compact port."""
    agent = urllib.parse.urlsplit(daemon.urls["Jaeger UDP compact"])
    settings = {
        "sampler": {"type": "const", "param": 1},
        "local_agent": {"reporting_host": agent.hostname, "reporting_port": agent.port, "sampling_port": 9},
        "reporter_flush_interval": 0.05,
        "generate_128bit_trace_id": True,
    }
    return Config(config={**settings, **config}, service_name=service, validate=True).new_tracer()


def close(tracer):
    poll(tracer.close().done, "the reporter has sent what it had")


def stored(d, trace_id, count):
    """The trace of Jaeger's API, once the store has that many spans."""
    def attempt():
        found = d.query(f"/api/traces/{trace_id:x}")
        return found and len(found["data"][0]["spans"]) == count and found["data"][0]

    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == count, f"{count} spans are stored")
    return poll(attempt, f"{count} spans of the trace")


def tags_of(list_):
    return {tag["key"]: (tag["type"], tag["value"]) for tag in list_}


def test_spans_of_a_client_and_its_child(daemon):
    d = daemon(*QUICK)
    tracer = tracer_of(d, "shop", tags={"zone": "north"})
    with tracer.start_span("GET /cart", tags={tags.SPAN_KIND: "server", "http.status_code": 200, "ratio": 0.25}) as root:
        root.set_tag("unicode", "\u20ac")
        root.log_kv({"event": "looked up", "rows": 3})
        with tracer.start_span("load", child_of=root, tags={tags.SPAN_KIND: "client", tags.PEER_SERVICE: "database"}) as child:
            child.set_tag(tags.ERROR, True)
        tracer.start_span("after", references=[opentracing.follows_from(root.context)]).finish()
    close(tracer)
    trace = stored(d, root.trace_id, 3)
    spans = {span["operationName"]: span for span in trace["spans"]}
    server, client, after = spans["GET /cart"], spans["load"], spans["after"]
    assert trace["traceID"] == f"{root.trace_id:032x}"
    assert server["spanID"] == f"{root.span_id:016x}" and server["references"] == [] and server["flags"] == 1
    assert [(r["refType"], r["spanID"]) for r in client["references"]] == [("CHILD_OF", server["spanID"])]
    assert [(r["refType"], r["spanID"]) for r in after["references"]] == [("FOLLOWS_FROM", server["spanID"])]
    found = tags_of(server["tags"])
    assert found["span.kind"] == ("string", "server") and found["http.status_code"] == ("int64", 200)
    assert found["ratio"] == ("float64", 0.25) and found["unicode"] == ("string", "\u20ac")
    assert tags_of(client["tags"])["error"] == ("bool", True)
    assert tags_of(server["logs"][0]["fields"])["event"] == ("string", "looked up")
    process = trace["processes"][server["processID"]]
    assert process["serviceName"] == "shop" and tags_of(process["tags"])["zone"] == ("string", "north")
    assert tags_of(process["tags"])["jaeger.version"][1].startswith("Python-")
    d.check_balance()
    assert d.stat("spanmill_spans_rejected_total") == 0
    edge = {"parent": "shop", "child": "database", "callCount": 1}
    poll(lambda: edge in d.query("/api/dependencies")["data"], "the call is in the graph")


def test_debug_spans_with_ids_of_64_bits_are_kept(daemon):
    d = daemon(*QUICK, "rules=[{name: nothing, drop: true}]")
    tracer = tracer_of(d, "shop", generate_128bit_trace_id=False)
    dropped = tracer.start_span("dropped")
    dropped.finish()
    wanted = tracer.start_span("wanted")
    wanted.set_tag(tags.SAMPLING_PRIORITY, 1)
    wanted.finish()
    close(tracer)
    trace = stored(d, wanted.trace_id, 1)
    assert trace["traceID"] == f"{wanted.trace_id:016x}"
    assert trace["spans"][0]["flags"] & DEBUG_FLAG
    poll(lambda: d.stat("spanmill_spans_sampled_out_total") == 1, "the other one is dropped")
    assert d.query(f"/api/traces/{dropped.trace_id:x}") is None
    d.check_balance()


@pytest.mark.parametrize("protocol, factory", [("Jaeger UDP compact", TCompactProtocol), ("Jaeger UDP binary", TBinaryProtocol)])
def test_batches_of_zipkin_spans(daemon, protocol, factory):
    """The agent's other call, written by thrift's own code: one call seen from both sides, another trace beside it."""
    d = daemon(*QUICK)
    front = Endpoint(ipv4=0x0A000001, port=8080, service_name="front")
    back = Endpoint(ipv4=-0x3F57FEFF, port=-1, service_name="back")
    now = int(time.time()) * 1_000_000
    shared = Span(
        trace_id=0x1234, id=2, parent_id=1, name="get /cart", debug=False,
        annotations=[Annotation(now, "cs", front), Annotation(now + 10, "sr", back), Annotation(now + 60, "ss", back),
                     Annotation(now + 70, "cr", front)],
        binary_annotations=[BinaryAnnotation("http.path", "/cart", AnnotationType.STRING, back)],
    )
    other = Span(trace_id=0x77, id=0x77, name="local", timestamp=now, duration=5, annotations=[], binary_annotations=[
        BinaryAnnotation("lc", "", AnnotationType.STRING, back)])
    buffer = TMemoryBuffer()
    out = factory(buffer)
    out.writeMessageBegin("emitZipkinBatch", TMessageType.ONEWAY, 1)
    Agent.emitZipkinBatch_args(spans=[shared, other]).write(out)
    out.writeMessageEnd()
    agent = urllib.parse.urlsplit(d.urls[protocol])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(buffer.getvalue(), (agent.hostname, agent.port))
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == 3, "the spans are stored")
    halves = {span["kind"]: span for span in poll(lambda: d.query("/api/v2/trace/1234"), "the trace")}
    client, server = halves["CLIENT"], halves["SERVER"]
    assert client["timestamp"] == now and client["duration"] == 70 and client["localEndpoint"]["ipv4"] == "10.0.0.1"
    assert client["id"] == server["id"] and server["shared"] and server["duration"] == 50 and server["tags"] == {"http.path": "/cart"}
    assert server["localEndpoint"] == {"serviceName": "back", "ipv4": "192.168.1.1", "port": 65535}
    assert d.query("/api/v2/trace/77")[0]["localEndpoint"]["serviceName"] == "back"
    edge = {"parent": "front", "child": "back", "callCount": 1}
    poll(lambda: edge in d.query("/api/dependencies")["data"], "the call is in the graph")
    assert d.stat("spanmill_payloads_refused_total") == 0


def test_what_is_no_batch_is_counted(daemon):
    d = daemon(*QUICK)
    for protocol in ("Jaeger UDP compact", "Jaeger UDP binary"):
        agent = urllib.parse.urlsplit(d.urls[protocol])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"not thrift", (agent.hostname, agent.port))
    poll(lambda: d.stat("spanmill_payloads_refused_total", reason="undecodable") == 2, "both are counted")
    assert post(d.urls["Jaeger HTTP"], b"\0", "application/json")[0] == 400
    assert d.event("datagram_refused")
    assert d.end() == 0
