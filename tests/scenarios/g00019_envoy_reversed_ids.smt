# Envoy case B: as protobuf, ingress and sidecar write their span ids with the bytes reversed; the app's parent is the id itself.
spanmill m1 {
}
sink s1
client c1 -as zipkin_proto { span -trace b6fa0717a447879f -id 9f8747a41707fab6 -svc ingress -kind client -dur 30ms }
client c2 -as zipkin_proto { span -trace b6fa0717a447879f -id 9f8747a41707fab6 -svc app-sidecar -kind server -shared -dur 20ms }
client c3 -as otlp { span -trace b6fa0717a447879f -id 77 -parent b6fa0717a447879f -svc app -kind server -dur 10ms }
advance 7s
expect s1.spans == 3
expect m1.stat(spans_repaired_total) == 2
expect m1.stat(spans_duplicate_total) == 0
expect m1.edge(ingress->app-sidecar) == "rpc calls=1 errors=0 timed=1"
expect m1.graph ~ "->app calls=1 errors=0"
