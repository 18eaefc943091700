# A trace that was kept for certain leaves as it came.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, ratio: 0%}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -error -tracestate "ot=th:8;rv:d0000000000000,x=1"
  span -trace 0b -id 1 -error
}
advance 7s
expect s1.tracestate(0a, 1) == "ot=th:8;rv:d0000000000000,x=1"
expect s1.tracestate(0b, 1) == ""
