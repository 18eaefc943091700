# Spans that are their own parent, or each other's, neither hang nor vanish.
spanmill m1 {
windows: {idle: 7s}
}
sink s1
client c1 {
  span -trace 0a -id 1 -parent 1 -svc a -kind server
  span -trace 0b -id 1 -parent 2 -svc a -kind server
  span -trace 0b -id 2 -parent 1 -svc b -kind server
  span -trace 0b -id 3 -parent 2 -svc c -kind server
}
advance 10s
expect s1.spans(0a) == 1
expect s1.spans(0b) == 3
expect m1.stat(traces_spanmetrics_calls_total) == 4
expect m1.balance
