# The same when a window is cut in the middle of a request: what follows is looked up as if it had come by itself.
spanmill m1 {
windows: {max_spans: 2}
}
sink s1
client c1 { span -trace 48485a3953bb6124 -id 1 }
client c1 {
  span -trace 48485a3953bb6124 -id 2 -parent 1
  span -trace 111111111111111148485a3953bb6124 -id 3 -parent 1
  span -trace 222222222222222248485a3953bb6124 -id 4 -parent 1
}
advance 20s
expect m1.stat(windows_closed_total, trigger=max_spans) == 1
expect m1.stat(traces_decided_total, verdict=kept) == 1
expect s1.ids(48485a3953bb6124) == "1 2"
expect m1.stat(spans_late_total, verdict=kept) == 2
expect m1.balance
