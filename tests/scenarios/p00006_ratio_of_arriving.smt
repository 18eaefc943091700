# `of: arriving` multiplies with what earlier samplers let through.
spanmill m1 {
rules:
  - {name: half, ratio: 50%, of: arriving}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -tracestate "ot=th:8;rv:c0000000000000"
  span -trace 0b -id 1 -tracestate "ot=th:8;rv:bfffffffffffff"
  span -trace 0c -id 1 -tracestate "ot=rv:80000000000000"
}
advance 7s
expect s1.traces == 2
expect s1.tracestate(0a, 1) == "ot=th:c;rv:c0000000000000"
expect s1.tracestate(0c, 1) == "ot=th:8;rv:80000000000000"
