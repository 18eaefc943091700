# A span that comes after its trace was dropped is sampled out too, and still counts in graph and span metrics.
spanmill m1 {
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc gateway -kind server
  span -trace 0a -id 2 -parent 1 -svc gateway -kind client
}
advance 7s
expect m1.stat(spans_sampled_out_total) == 2
expect m1.graph == ""
client c1 { span -trace 0a -id 3 -parent 2 -svc cart -kind server }
advance 5s
expect m1.stat(spans_late_total, verdict=dropped) == 1
expect m1.stat(spans_late_unlinked_total) == 0
expect m1.stat(spans_sampled_out_total) == 3
expect m1.graph == "gateway->cart calls=1 errors=0"
expect m1.stat(traces_spanmetrics_calls_total, service=cart) == 1
expect s1.spans == 0
