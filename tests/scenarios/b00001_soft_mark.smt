# Above the soft mark payloads are refused whole, to be sent again; nothing of them is counted as received.
spanmill m1 -memory {
memory: {budget: 16MiB, soft: 10%, hard: 90%}
windows: {after_root: 2s}
}
sink s1
client c1 -svc cart { span -trace 0a -id 1 -repeat 80 -pad 30000 }
expect c1.result == ok
advance 200ms
client c2 -svc cart { span -trace 0b -id 1 }
expect c2.result == again
expect c2.text ~ overloaded
advance 5s
client c2 { span -trace 0b -id 1 }
expect c2.result == ok
advance 5s
expect m1.stat(payloads_refused_total, reason=overload) == 1
expect m1.stat(spans_received_total) == 81
expect s1.spans == 81
