"""py_zipkin, a Zipkin client from the registry, through spanmill, to an OTLP sink and back through Zipkin's API."""
import json
import urllib.request

import pytest
from py_zipkin import Encoding, Kind
from py_zipkin.transport import BaseTransportHandler
from py_zipkin.zipkin import zipkin_client_span, zipkin_server_span

from conftest import QUICK, get, poll

ZIPKIN_SERVER, ZIPKIN_CLIENT = 2, 3  # OTLP's numbers of the span kinds
FORMATS = [
    (Encoding.V2_JSON, "/api/v2/spans", "application/json"),
    (Encoding.V2_PROTO3, "/api/v2/spans", "application/x-protobuf"),
    (Encoding.V1_JSON, "/api/v1/spans", "application/json"),
]


class Post(BaseTransportHandler):
    def __init__(self, url, content_type):
        super().__init__()
        self.url = url
        self.content_type = content_type
        self.statuses = []

    def get_max_payload_bytes(self):
        return None

    def send(self, payload):
        body = payload if isinstance(payload, bytes) else payload.encode()
        request = urllib.request.Request(self.url, data=body, headers={"content-type": self.content_type})
        with urllib.request.urlopen(request, timeout=10) as reply:
            self.statuses.append(reply.status)


@pytest.mark.parametrize("encoding, path, content_type", FORMATS, ids=[encoding.value for encoding, _, _ in FORMATS])
def test_spans_of_a_client_and_its_child(daemon, collector, encoding, path, content_type):
    sink = collector()
    d = daemon(*QUICK, sink.sink())
    transport = Post(d.urls["Zipkin"].removesuffix("/api/v2/spans") + path, content_type)
    with zipkin_server_span(service_name="shop", span_name="get /cart", transport_handler=transport, sample_rate=100,
                            encoding=encoding, use_128bit_trace_id=True) as root:
        root.update_binary_annotations({"http.path": "/cart", "unicode": "\u20ac"})
        root.add_annotation("looked up")
        with zipkin_client_span(service_name="shop", span_name="load") as child:
            child.add_sa_binary_annotation(port=5432, service_name="database", host="10.0.0.1")
    assert transport.statuses == [202]
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
