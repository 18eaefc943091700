# Late spans in several rounds: each is linked to all that went before, duplicates of late ones are recognised.
spanmill m1 {
}
sink s1
client c1 { span -trace 0a -id 1 -start 0s -svc a -kind client }
advance 7s
client c1 { span -trace 0a -id 2 -start 0s -parent 1 -svc b -kind server }
advance 4s
client c1 {
  span -trace 0a -id 2 -start 0s -parent 1 -svc b -kind server
  span -trace 0a -id 3 -start 0s -parent 2 -svc b -kind client
}
advance 4s
client c1 {
  span -trace 0a -id 3 -start 0s -parent 2 -svc b -kind client
  span -trace 0a -id 4 -start 0s -parent 3 -svc c -kind server
}
advance 4s
expect s1.ids(0a) == "1 2 3 4"
expect m1.stat(spans_duplicate_total) == 2
expect m1.stat(spans_late_total, verdict=kept) == 3
expect m1.graph == "a->b calls=1 errors=0; b->c calls=1 errors=0"
expect m1.stat(traces_spanmetrics_calls_total) == 4
expect m1.balance
