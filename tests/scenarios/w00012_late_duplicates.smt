# A request that comes again after its trace was decided is recognised within late.grace.
spanmill m1 {
late: {grace: 20s}
}
sink s1
client c1 {
  span -trace 0a -id 1 -start 0s -svc gateway -kind client
  span -trace 0a -id 2 -start 0s -parent 1 -svc cart -kind server
}
advance 7s
client c1 {
  span -trace 0a -id 1 -start 0s -svc gateway -kind client
  span -trace 0a -id 2 -start 0s -parent 1 -svc cart -kind server
}
advance 5s
expect m1.stat(spans_duplicate_total) == 2
expect m1.stat(spans_late_total) == 0
expect s1.spans == 2
expect m1.graph == "gateway->cart calls=1 errors=0"
expect m1.stat(traces_spanmetrics_calls_total) == 2
expect m1.balance
