"""A part of the order by py_zipkin 0.20, the last one that speaks thrift:  py_zipkin_thrift.py URL
Prints {"trace": id, "spans": {name: id}}; the halves of a call share an id."""
import json
import sys
import urllib.request

from py_zipkin import Encoding
from py_zipkin.zipkin import ZipkinAttrs, zipkin_client_span, zipkin_server_span

SPANS = {}


def post(body):
    request = urllib.request.Request(sys.argv[1], data=body, headers={"content-type": "application/x-thrift"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 202


def note(name, span):
    SPANS[name] = span.zipkin_attrs.span_id
    return span


common = {"transport_handler": post, "encoding": Encoding.V1_THRIFT}
with zipkin_server_span("shop", "post /checkout", host="10.0.0.1", port=80, sample_rate=100, use_128bit_trace_id=True, **common) as root:
    note("post /checkout", root)
    root.update_binary_annotations({"note": "\u20ac \u00fc"})
    root.add_annotation("validated")
    with zipkin_client_span("shop", "reserve") as reserve:
        note("reserve", reserve)
TRACE = root.zipkin_attrs.trace_id
call = ZipkinAttrs(TRACE, SPANS["reserve"], SPANS["post /checkout"], "0", True)
with zipkin_server_span("stock", "serve", host="10.0.0.2", port=8080, zipkin_attrs=call, **common) as serve:
    note("serve", serve).update_binary_annotations({"error": "sold out"})
print(json.dumps({"trace": TRACE, "spans": SPANS}))
