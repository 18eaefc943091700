# An id that nobody called random is hashed; the hash is written out as rv, the same on every span of the trace.
spanmill m1 {
rules:
  - {name: most, ratio: 99.9%}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1
  span -trace 0a -id 2 -parent 1 -tracestate vendor=x
}
advance 7s
expect s1.tracestate(0a, 1) ~ "ot=th:"
expect s1.tracestate(0a, 1) ~ ";rv:"
expect s1.tracestate(0a, 2) ~ ",vendor=x"
client c1 { span -trace 0a -id 3 -parent 1 }
advance 4s
expect s1.spans(0a) == 3
expect s1.tracestate(0a, 3) ~ ";rv:"
