# Above the hard mark the heaviest trace is decided early, not lost; above the soft mark payloads are refused meanwhile.
spanmill m1 -memory {
memory: {budget: 16MiB, soft: 10%, hard: 12%}
windows: {max_bytes: 64MiB}
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 -svc cart { span -trace 0b -id 1 }
client c1 -svc cart { span -trace 0a -id 1 -repeat 80 -pad 30000 }
expect c1.accepted == 80
advance 100ms
expect m1.stat(windows_closed_total, trigger=memory) >= 1
expect m1.stat(spans_sampled_out_total) >= 80
expect m1.balance
client c2 -svc cart { span -trace 0c -id 1 }
advance 200ms
client c2 { span -trace 0d -id 1 }
expect c2.result == ok
advance 20s
expect m1.stat(spans_sampled_out_total) >= 82
expect m1.stat(spans_dropped_total) == 0
