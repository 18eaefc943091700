# What was earned since the last tick can be spent, up to the burst; a trace larger than the burst never passes.
spanmill m1 {
windows: {after_root: 1s}
rules:
  - {name: limit, rate: {spans_per_second: 2, burst: 4}}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -repeat 4 }
advance 1500ms
expect s1.spans(0a) == 4
advance 1s
client c1 { span -trace 0b -id 1 -repeat 4 }
advance 1500ms
expect s1.spans(0b) == 4
client c1 {
  span -trace 0c -id 1 -repeat 3
  span -trace 0d -id 1 -repeat 3
}
advance 1500ms
expect s1.traces == 3
client c1 { span -trace 0e -id 1 -repeat 5 }
advance 30s
expect s1.spans(0e) == 0
expect m1.stat(spans_sampled_out_total) == 8
