# The graph and span metrics see every trace, before sampling.
spanmill m1 {
rules:
  - {name: none, ratio: 0%}
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc a -kind client
  span -trace 0a -id 2 -parent 1 -svc b -kind server
  span -trace 0b -id 1 -svc a -kind client
  span -trace 0b -id 2 -parent 1 -svc b -kind server
}
advance 7s
expect s1.spans == 0
expect m1.graph == "a->b calls=2 errors=0"
expect m1.stat(traces_spanmetrics_calls_total) == 4
expect m1.stat(spans_sampled_out_total) == 4
