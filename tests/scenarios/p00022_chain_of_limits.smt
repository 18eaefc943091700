# Limits in a chain: what the first refuses asks the second, and so on to the end.
spanmill m1 {
rules:
  - {name: one, rate: {spans_per_second: 1, burst: 1}, else: next}
  - {name: two, rate: {spans_per_second: 1, burst: 2}, else: next}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc web {
  span -trace f0000000000000 -id 1 -flags 2
  span -trace e0000000000000 -id 1 -flags 2
  span -trace d0000000000000 -id 1 -flags 2
  span -trace c0000000000000 -id 1 -flags 2
}
advance 7s
expect s1.rule(f0000000000000) == one
expect s1.rule(e0000000000000) == two
expect s1.rule(d0000000000000) == two
expect s1.spans(c0000000000000) == 0
expect m1.balance
