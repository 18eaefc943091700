# 500 spans of 5 traces in one request; every trace is whole at the sink.
spanmill m1 {
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -repeat 100
  span -trace 0b -id 1 -repeat 100
  span -trace 0c -id 1 -repeat 100
  span -trace 0d -id 1 -repeat 100
  span -trace 0e -id 1 -repeat 100
}
expect c1.accepted == 500
advance 7s
expect s1.spans == 500
expect s1.writes == 5
expect s1.spans(0c) == 100
expect m1.stat(traces_decided_total, verdict=kept) == 5
