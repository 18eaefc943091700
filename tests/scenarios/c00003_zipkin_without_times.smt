# Zipkin allows spans without timestamp and duration (Istio 0.4's joined half); they are calls without a latency.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace 0a -id 1 -svc gateway -kind client -dur 30ms
  span -trace 0a -id 1 -svc cart -kind server -shared -nostart -dur 0
}
advance 7s
expect s1.spans == 2
expect m1.edge(gateway->cart) == "rpc calls=1 errors=0 timed=1"
expect m1.stat(traces_spanmetrics_calls_total, service=cart) == 1
expect m1.stat(traces_spanmetrics_latency_count, service=cart) == 0
