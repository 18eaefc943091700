# A span that comes after its trace was kept follows it, and enters the graph.
spanmill m1 {
windows: {idle: 5s}
rules:
  - {name: slow, when: '{ traceDuration > 100ms }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace 0a -id 1 -svc gateway -kind client -dur 150ms
  span -trace 0a -id 2 -parent 1 -svc cart -kind server -dur 20ms
}
advance 7s
expect s1.spans == 2
expect m1.graph == "gateway->cart calls=1 errors=0"
client c1 { span -trace 0a -id 3 -parent 1 -svc cart -kind server }
advance 6s
expect s1.spans == 3
expect s1.rule(0a) == "slow slow"
expect m1.stat(spans_late_total, verdict=kept) == 1
expect m1.graph == "gateway->cart calls=2 errors=0"
expect m1.balance
