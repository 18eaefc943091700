"""py_zipkin, a Zipkin client from the registry, through spanmill, to an OTLP sink and back through Zipkin's API."""
import json
import urllib.parse
import urllib.request

import grpc
import pytest
from py_zipkin import Encoding, Kind
from py_zipkin.transport import BaseTransportHandler
from py_zipkin.zipkin import zipkin_client_span, zipkin_server_span

from conftest import QUICK, get, poll

ZIPKIN_SERVER, ZIPKIN_CLIENT = 2, 3  # OTLP's numbers of the span kinds


class Transport(BaseTransportHandler):
    """Hands encoded lists of spans to a daemon's port for Zipkin and keeps the answers."""

    def __init__(self, url):
        super().__init__()
        self.url = url
        self.answers = []

    def get_max_payload_bytes(self):
        return None


class Post(Transport):
    path, content_type, taken = "/api/v2/spans", "application/json", 202

    def send(self, payload):
        body = payload if isinstance(payload, bytes) else payload.encode()
        url = self.url.removesuffix("/api/v2/spans") + self.path
        request = urllib.request.Request(url, data=body, headers={"content-type": self.content_type})
        with urllib.request.urlopen(request, timeout=10) as reply:
            self.answers.append(reply.status)


class PostProto(Post):
    content_type = "application/x-protobuf"


class PostV1(Post):
    path = "/api/v1/spans"


class Report(Transport):
    """By grpcio. What is sent is py_zipkin's list as it is; the answer is an empty message."""

    taken, compression = b"", grpc.Compression.NoCompression

    def send(self, payload):
        with grpc.insecure_channel(urllib.parse.urlsplit(self.url).netloc, compression=self.compression) as channel:
            self.answers.append(channel.unary_unary("/zipkin.proto3.SpanService/Report")(payload, timeout=10))


class ReportPacked(Report):
    compression = grpc.Compression.Gzip


@pytest.mark.parametrize("encoding, by", [(Encoding.V2_JSON, Post), (Encoding.V2_PROTO3, PostProto), (Encoding.V1_JSON, PostV1),
                                          (Encoding.V2_PROTO3, Report), (Encoding.V2_PROTO3, ReportPacked)])  # fmt: skip
def test_spans_of_a_client_and_its_child(daemon, collector, encoding, by):
    sink = collector()
    d = daemon(*QUICK, sink.sink())
    transport = by(d.urls["Zipkin"])
    with zipkin_server_span(service_name="shop", span_name="get /cart", transport_handler=transport, sample_rate=100,
                            encoding=encoding, use_128bit_trace_id=True) as root:
        root.update_binary_annotations({"http.path": "/cart", "unicode": "\u20ac"})
        root.add_annotation("looked up")
        with zipkin_client_span(service_name="shop", span_name="load") as child:
            child.add_sa_binary_annotation(port=5432, service_name="database", host="10.0.0.1")
    assert transport.answers == [by.taken]
    spans = {span.name: (attributes, span) for attributes, _, span in sink.wait(2)}
    attributes, server = spans["get /cart"]
    _, client = spans["load"]
    assert attributes["service.name"] == "shop"
    assert server.trace_id == client.trace_id and len(server.trace_id) == 16
    assert client.parent_span_id == server.span_id and not server.parent_span_id
    assert (server.kind, client.kind) == (ZIPKIN_SERVER, ZIPKIN_CLIENT)
    tags = {a.key: a.value.string_value for a in server.attributes}
    assert tags["http.path"] == "/cart" and tags["unicode"] == "\u20ac"
    assert [event.name for event in server.events] == ["looked up"]
    assert server.end_time_unix_nano > server.start_time_unix_nano > 0
    d.check_balance()

    # Read back by both ports, as it was sent.
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == 2, "both are stored")
    path = f"/api/v2/trace/{server.trace_id.hex()}"
    back = {span["name"]: span for span in d.query(path)}
    assert back == {span["name"]: span for span in json.loads(get(d.urls["Zipkin"].removesuffix("/api/v2/spans") + path))}
    assert back["get /cart"]["kind"] == "SERVER" and back["load"]["kind"] == "CLIENT"
    assert back["get /cart"]["tags"]["http.path"] == "/cart" and back["get /cart"]["tags"]["unicode"] == "\u20ac"
    assert [a["value"] for a in back["get /cart"]["annotations"]] == ["looked up"]
    assert back["load"]["parentId"] == back["get /cart"]["id"] == server.span_id.hex()
    assert back["load"]["localEndpoint"]["serviceName"] == "shop"
    assert back["load"]["remoteEndpoint"] == {"serviceName": "database", "ipv4": "10.0.0.1", "port": 5432}


def test_what_grpc_refuses(daemon):
    """A list that cannot be read, and one that is larger than the listener takes: neither is worth sending again."""
    d = daemon("listeners=[{name: zipkin, limits: {grpc_message_bytes_max: 64KiB}}]")
    for payload, code in ((b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT), (b"\0" * 70_000, grpc.StatusCode.RESOURCE_EXHAUSTED)):
        with pytest.raises(grpc.RpcError) as refused:
            Report(d.urls["Zipkin"]).send(payload)
        assert refused.value.code() == code
        assert "grpc-status-details-bin" not in dict(refused.value.trailing_metadata())
    with grpc.insecure_channel(urllib.parse.urlsplit(d.urls["Zipkin"]).netloc) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/zipkin.proto3.SpanService/Other")(b"", timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert d.stat("spanmill_spans_received_total") == 0
