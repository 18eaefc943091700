# Envoy case J: the app shares the id too and refers to itself as its parent; no cycle, no loss.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace 0aa1 -id aa1 -svc ingress -kind client -dur 40ms
  span -trace 0aa1 -id aa1 -svc app-sidecar -kind server -shared -dur 30ms
}
client c3 -as otlp { span -trace 0aa1 -id aa1 -parent aa1 -svc app -kind server -dur 10ms }
advance 20s
expect s1.spans == 3
expect m1.stat(windows_closed_total, trigger=root) == 1
expect m1.stat(traces_spanmetrics_calls_total) == 3
expect m1.graph ~ "ingress->"
