# An overloaded payload leaves no trace behind: no spans received, no windows, no decisions.
spanmill m1 -memory {
memory: {budget: 16MiB, soft: 10%, hard: 90%}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -repeat 60 -pad 30000 }
advance 100ms
client c2 -svc web {
  span -trace 0a -id 1000 -parent 1
  span -trace 0b -id 1
}
expect c2.result == again
expect c2.accepted == 0
advance 7s
expect m1.stat(spans_received_total) == 60
expect m1.stat(traces_opened_total) == 1
expect m1.stat(payloads_total) == 1
expect s1.spans(0a) == 60
