# What a limit refuses asks the next rule; the published threshold is what either would have kept.
spanmill m1 {
rules:
  - {name: limit, rate: {spans_per_second: 1, burst: 1}, else: next}
  - {name: half, ratio: 50%}
}
sink s1
client c1 -svc web {
  span -trace f0000000000000 -id 1 -flags 2
  span -trace 90000000000000 -id 1 -flags 2
  span -trace 70000000000000 -id 1 -flags 2
}
advance 7s
expect s1.traces == 2
expect s1.rule(f0000000000000) == limit
expect s1.rule(90000000000000) == half
expect s1.tracestate(f0000000000000, 1) == ot=th:8
expect s1.tracestate(90000000000000, 1) == ot=th:8
expect m1.balance
