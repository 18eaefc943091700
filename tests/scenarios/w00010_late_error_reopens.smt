# An error span that comes after its trace was dropped opens a window with a decision of its own
# and is linked to what went before.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc gateway { span -trace 0a -id 1 -kind client }
advance 7s
expect m1.stat(spans_sampled_out_total) == 1
client c1 -svc cart { span -trace 0a -id 2 -parent 1 -kind server -error }
advance 20s
expect s1.ids(0a) == "2"
expect s1.rule(0a) == errors
expect s1.trigger(0a) == idle
expect m1.stat(traces_opened_total) == 2
expect m1.graph == "gateway->cart calls=1 errors=1"
expect m1.balance
