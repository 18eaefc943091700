# A window that an error reopened takes the whole trace again, as a client's retry: old spans are duplicates there too.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 {
  span -trace 0a -id 1 -start 0s -svc gateway -kind client
  span -trace 0a -id 2 -start 0s -parent 1 -svc cart -kind server
}
advance 7s
client c1 {
  span -trace 0a -id 3 -start 0s -parent 2 -svc cart -kind client -error
  span -trace 0a -id 1 -start 0s -svc gateway -kind client
  span -trace 0a -id 4 -start 0s -parent 3 -svc stock -kind server
}
advance 20s
expect s1.ids(0a) == "3 4"
expect m1.stat(spans_duplicate_total) == 1
expect m1.graph == "cart->stock calls=1 errors=1; gateway->cart calls=1 errors=0"
expect m1.stat(traces_spanmetrics_calls_total) == 4
expect m1.balance
