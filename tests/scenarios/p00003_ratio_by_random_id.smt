# With the W3C random flag R is the id's low 56 bits: kept iff T <= R, exactly at the threshold too.
spanmill m1 {
rules:
  - {name: half, ratio: 50%}
}
sink s1
client c1 -svc web {
  span -trace 7fffffffffffff -id 1 -flags 2
  span -trace 80000000000000 -id 1 -flags 2
  span -trace ffffffffffffff -id 1 -flags 2
  span -trace 0000000000001 -id 1 -flags 2
}
advance 7s
expect s1.traces == 2
expect s1.spans(80000000000000) == 1
expect s1.spans(ffffffffffffff) == 1
expect s1.tracestate(80000000000000, 1) == ot=th:8
expect s1.threshold(ffffffffffffff) == 8
