# rv in the root's tracestate goes before the id; other members stay, ot comes first.
spanmill m1 {
rules:
  - {name: quarter, ratio: 25%}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -tracestate "foo=1,ot=rv:c0000000000000,bar=2"
  span -trace 0a -id 2 -parent 1
  span -trace 0b -id 1 -tracestate "ot=rv:bfffffffffffff"
  span -trace ffffffffffffff -id 1 -flags 2 -tracestate "ot=rv:00000000000000"
}
advance 7s
expect s1.traces == 1
expect s1.tracestate(0a, 1) == "ot=th:c;rv:c0000000000000,foo=1,bar=2"
