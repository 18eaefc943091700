# Spans of a window that is closed for its size leave the figure of open spans at once: no span is counted twice until the tick.
spanmill m1 {
windows: {max_spans: 3}
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 { span -trace 0a -id 1 -repeat 2 }
advance 1s
expect m1.stat(spans_open) == 2
client c1 { span -trace 0a -id 3 }
expect m1.stat(spans_sampled_out_total) == 3
expect m1.stat(spans_open) == 0
expect m1.balance
