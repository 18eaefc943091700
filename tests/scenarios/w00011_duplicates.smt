# The same request twice, as a client's retry: each span counts once, everywhere.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc gateway -kind client
  span -trace 0a -id 2 -parent 1 -svc cart -kind server -error
}
client c1 {
  span -trace 0a -id 1 -svc gateway -kind client
  span -trace 0a -id 2 -parent 1 -svc cart -kind server -error
}
advance 7s
expect m1.stat(spans_received_total) == 4
expect m1.stat(spans_duplicate_total) == 2
expect m1.stat(spans_kept_total) == 2
expect s1.spans == 2
expect m1.graph == "gateway->cart calls=1 errors=1"
expect m1.stat(traces_spanmetrics_calls_total) == 2
expect m1.balance
