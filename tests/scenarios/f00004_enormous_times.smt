# Times at the ends of what the format can say are stored as they are and do not move the clock or the buckets.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc a -kind client -start -400000h -dur 1ms
  span -trace 0a -id 2 -parent 1 -svc b -kind server -start 2000000h -dur 1000h
}
advance 7s
expect s1.spans == 2
expect m1.graph(0s, 60s) == "a->b calls=1 errors=0"
expect m1.stat(traces_spanmetrics_calls_total) == 2
expect m1.balance
