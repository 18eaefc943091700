# An error that comes late for a dropped trace is decided by itself also when plain late spans came just before it: what
# becomes of it does not depend on the order in a request.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc gateway {
  span -trace 0a -id 1 -start 0s -kind client
  span -trace 0b -id 1 -start 0s -kind client
}
advance 7s
client c1 -svc cart {
  span -trace 0a -id 2 -start 0s -parent 1 -kind server
  span -trace 0a -id 3 -start 0s -parent 2 -error
  span -trace 0b -id 2 -start 0s -parent 1 -kind server
}
advance 20s
expect s1.ids(0a) == "2 3"
expect s1.rule(0a) == errors
expect s1.ids(0b) == ""
expect m1.graph == "gateway->cart calls=2 errors=0"
expect m1.stat(spans_late_total) == 1
expect m1.balance
client c1 -svc cart { span -trace 0a -id 4 -start 0s -parent 2 }
advance 10s
expect s1.ids(0a) == "2 3 4"
