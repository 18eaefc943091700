# A limit spends a tick's spans from the top of R; every kept trace publishes the cut.
spanmill m1 {
rules:
  - {name: limit, rate: {spans_per_second: 5, burst: 5}}
}
sink s1
client c1 -svc web -each {
  span -trace 10000000000000 -id 1 -flags 2
  span -trace f0000000000000 -id 1 -flags 2
  span -trace 20000000000000 -id 1 -flags 2
  span -trace e0000000000000 -id 1 -flags 2
  span -trace a0000000000000 -id 1 -flags 2
  span -trace b0000000000000 -id 1 -flags 2
  span -trace c0000000000000 -id 1 -flags 2
  span -trace d0000000000000 -id 1 -flags 2
}
advance 7s
expect s1.traces == 5
expect s1.spans(b0000000000000) == 1
expect s1.spans(a0000000000000) == 0
expect s1.tracestate(f0000000000000, 1) == ot=th:a0000000000001
expect s1.tracestate(b0000000000000, 1) == ot=th:a0000000000001
expect m1.rule(limit) == "matched=8 keep=0 drop=0 limit=8"
expect m1.stat(spans_sampled_out_total) == 3
expect m1.balance
