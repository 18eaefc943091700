# An error span that was decided with its trace and comes again does not open a window.
spanmill m1 {
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 -svc gateway { span -trace 0a -id 1 -start 0s -error }
advance 7s
client c1 { span -trace 0a -id 1 -start 0s -error }
advance 20s
expect m1.stat(spans_duplicate_total) == 1
expect m1.stat(spans_sampled_out_total) == 1
expect m1.stat(traces_decided_total, verdict=dropped) == 1
expect m1.balance
