# A window that an error reopened pays a rate only for what is new: what went before came again as a client's retry.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', rate: {spans_per_second: 0.001, burst: 2}}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc a { span -trace 0a -id 1 -start 0s -repeat 3 }
advance 7s
expect m1.stat(spans_sampled_out_total) == 3
client c1 -svc a {
  span -trace 0a -id 4 -parent 1 -start 0s -error
  span -trace 0a -id 1 -start 0s -repeat 3
}
advance 20s
expect s1.ids(0a) == 4
expect m1.stat(spans_duplicate_total) == 3
expect m1.balance
