# A span that comes while its trace waits for a limit belongs to it: no second window, no second decision.
spanmill m1 {
windows: {max_spans: 3, after_root: 1s}
rules:
  - {name: limit, rate: {spans_per_second: 1, burst: 3}}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -repeat 3 }
client c1 { span -trace 0a -id 4 -parent 1 }
advance 10s
expect s1.ids(0a) == "1 2 3 4"
expect m1.stat(traces_opened_total) == 1
expect m1.stat(traces_decided_total) == 1
expect m1.balance
