# th of earlier samplers: the larger threshold is published, a th above R is ignored.
spanmill m1 {
rules:
  - {name: half, ratio: 50%}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -tracestate "ot=th:c;rv:d0000000000000"
  span -trace 0b -id 1 -tracestate "ot=th:4;rv:d0000000000000"
  span -trace 0c -id 1 -tracestate "ot=th:4;rv:50000000000000"
}
advance 7s
expect s1.traces == 2
expect s1.tracestate(0a, 1) == "ot=th:c;rv:d0000000000000"
expect s1.tracestate(0b, 1) == "ot=th:8;rv:d0000000000000"
