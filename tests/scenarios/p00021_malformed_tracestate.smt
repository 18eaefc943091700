# A tracestate that makes no sense costs no span; it is put right on output.
spanmill m1 {
rules:
  - {name: half, ratio: 50%}
}
sink s1
client c1 -svc web {
  span -trace ffffffffffffff -id 1 -flags 2 -tracestate "ot=th:zz;rv:12,a=1"
  span -trace fffffffffffffe -id 1 -flags 2 -tracestate ",,,=,"
}
expect c1.accepted == 2
advance 7s
expect s1.traces == 2
expect s1.tracestate(ffffffffffffff, 1) == "ot=th:8,a=1"
expect s1.tracestate(fffffffffffffe, 1) == ot=th:8
