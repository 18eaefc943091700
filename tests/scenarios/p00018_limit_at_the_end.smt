# A drain asks limits for a real decision too, and the identities hold at once.
spanmill m1 {
rules:
  - {name: limit, rate: {spans_per_second: 1, burst: 3}}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -repeat 3
  span -trace 0b -id 1 -repeat 3
}
drain
expect m1.balance
expect m1.stat(spans_open) == 0
expect s1.spans == 3
expect m1.stat(spans_sampled_out_total) == 3
