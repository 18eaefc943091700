# Envoy case D: both proxies spawn upstream spans; the app's parent is the sidecar's CLIENT span. Root SERVER spans say shared too.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace 0aa1 -id aa1 -svc ingress -kind server -shared -dur 40ms
  span -trace 0aa1 -id aa2 -parent aa1 -svc ingress -kind client -dur 30ms
  span -trace 0aa1 -id aa2 -parent aa1 -svc app-sidecar -kind server -shared -dur 20ms
  span -trace 0aa1 -id aa3 -parent aa2 -svc app-sidecar -kind client -dur 15ms
}
client c3 -as otlp { span -trace 0aa1 -id aa4 -parent aa3 -svc app -kind server -dur 10ms }
advance 7s
expect s1.spans == 5
expect m1.stat(spans_duplicate_total) == 0
expect m1.graph == "app-sidecar->app calls=1 errors=0; ingress->app-sidecar calls=1 errors=0"
