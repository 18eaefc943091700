# Same ids, other content: a record of its own, not a duplicate; both are stored, the call counts once.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc gateway -kind client
  span -trace 0a -id 2 -start 0s -parent 1 -svc cart -kind server -dur 20ms
  span -trace 0a -id 2 -start 0s -parent 1 -svc cart -kind server -dur 20ms -attr http.route=/cart
}
advance 7s
expect m1.stat(spans_duplicate_total) == 0
expect s1.ids(0a) == "1 2 2"
expect s1.attr(0a, 2, http.route) == /cart
expect m1.graph == "gateway->cart calls=1 errors=0"
expect m1.balance
