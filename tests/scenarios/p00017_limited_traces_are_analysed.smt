# Metrics and graph of traces that a limit decided are there as well, kept or not.
spanmill m1 {
rules:
  - {name: limit, rate: {spans_per_second: 1, burst: 2}}
}
sink s1
client c1 {
  span -trace f0000000000000 -id 1 -flags 2 -svc a -kind client
  span -trace f0000000000000 -id 2 -parent 1 -svc b -kind server
  span -trace 10000000000000 -id 1 -flags 2 -svc a -kind client
  span -trace 10000000000000 -id 2 -parent 1 -svc b -kind server
}
advance 8s
expect s1.traces == 1
expect m1.graph == "a->b calls=2 errors=0"
expect m1.stat(traces_spanmetrics_calls_total) == 4
