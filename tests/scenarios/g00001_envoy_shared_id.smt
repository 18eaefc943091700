# Envoy case A: ingress CLIENT and sidecar SERVER share one id, below which the app hangs: three spans, two ids.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json { span -trace b6fa0717a447879f -id b6fa0717a447879f -svc ingress -kind client -dur 30ms }
client c2 -as zipkin_v2_json { span -trace b6fa0717a447879f -id b6fa0717a447879f -svc app-sidecar -kind server -shared -dur 20ms }
client c3 -as otlp { span -trace b6fa0717a447879f -id 77 -parent b6fa0717a447879f -svc app -kind server -dur 10ms }
advance 7s
expect s1.spans == 3
expect m1.stat(spans_duplicate_total) == 0
expect m1.edge(ingress->app-sidecar) == "rpc calls=1 errors=0 timed=1"
expect m1.graph ~ "->app calls=1 errors=0"
expect m1.stat(traces_service_graph_request_total, client=ingress, server=app-sidecar) == 1
