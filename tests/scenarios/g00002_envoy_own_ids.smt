# Envoy case C: without shared ids the halves are parent and child.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace b6fa0717a447879f -id b6fa0717a447879f -svc ingress -kind client -dur 30ms
  span -trace b6fa0717a447879f -id 5 -parent b6fa0717a447879f -svc app-sidecar -kind server -dur 20ms
}
client c3 -as otlp { span -trace b6fa0717a447879f -id 77 -parent 5 -svc app -kind server -dur 10ms }
advance 7s
expect s1.spans == 3
expect m1.graph == "app-sidecar->app calls=1 errors=0; ingress->app-sidecar calls=1 errors=0"
