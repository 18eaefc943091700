# Envoy case E: no traffic direction: both halves are SERVER and shared, with one id; the services tell them apart.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace 0aa1 -id aa1 -start 0s -svc ingress -kind server -shared -dur 40ms
  span -trace 0aa1 -id aa1 -start 0s -svc app-sidecar -kind server -shared -dur 40ms
}
client c3 -as otlp { span -trace 0aa1 -id aa4 -parent aa1 -svc app -kind server -dur 10ms }
advance 7s
expect s1.spans == 3
expect s1.services(0aa1) == "app app-sidecar ingress"
expect m1.stat(spans_duplicate_total) == 0
expect m1.stat(traces_spanmetrics_calls_total) == 3
