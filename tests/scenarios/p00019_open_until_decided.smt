# Spans of a trace that waits for its limit are open until it is decided, and not longer.
spanmill m1 {
rules:
  - {name: limit, rate: {spans_per_second: 100, burst: 100}}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -kind server }
advance 5.9s
expect m1.stat(spans_open) == 1
expect m1.balance
advance 300ms
expect m1.stat(spans_open) == 0
expect m1.balance
advance 300ms
expect s1.spans == 1
