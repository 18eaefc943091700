# A late span that nothing waits for is accounted for at once.
spanmill m1 {
late: {grace: 0s}
rules:
  - {name: rest, drop: true}
}
client c1 { span -trace 0a -id 1 }
advance 7s
client c1 { span -trace 0a -id 2 -parent 1 }
expect m1.stat(spans_sampled_out_total) == 2
expect m1.balance
