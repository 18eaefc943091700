# A drain closes open windows with a real decision.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -error
  span -trace 0b -id 1
}
drain
expect m1.stat(windows_closed_total, trigger=shutdown) == 2
expect s1.trigger(0a) == shutdown
expect s1.rule(0a) == errors
expect s1.traces == 1
expect m1.stat(spans_sampled_out_total) == 1
expect m1.stat(spans_dropped_total, reason=shutdown) == 0
