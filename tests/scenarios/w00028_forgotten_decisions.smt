# A decision that was forgotten (late.kept_max) is made again for what comes then.
spanmill m1 {
late: {kept_max: 3, memory: 0}
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc a { span -trace 0a -id 1 -error }
advance 7s
client c1 { span -trace 100 -id 1 -repeat 10 -spread -error }
advance 7s
client c1 { span -trace 0a -id 2 -parent 1 }
advance 20s
expect s1.spans(0a) == 1
expect m1.stat(spans_sampled_out_total) == 1
expect m1.stat(traces_opened_total) == 12
expect m1.balance
