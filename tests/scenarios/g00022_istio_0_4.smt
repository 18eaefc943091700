# Istio 0.4: v1 spans; the sidecar's half shares the ingress's id and has neither times nor a flag of its own.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v1_json { span -trace b6fa0717a447879f -id b6fa0717a447879f -svc istio-ingress -kind client -dur 30ms }
client c2 -as zipkin_v1_json { span -trace b6fa0717a447879f -id b6fa0717a447879f -svc productpage -kind server -shared -dur 20ms }
advance 7s
expect s1.spans == 2
expect m1.stat(spans_duplicate_total) == 0
expect s1.kind(b6fa0717a447879f, b6fa0717a447879f, productpage) == server
expect m1.edge(istio-ingress->productpage) == "rpc calls=1 errors=0 timed=1"
