# A trace whose root never came: what is there is linked, what hangs in the air is not invented.
spanmill m1 {
windows: {idle: 7s}
}
sink s1
client c1 {
  span -trace 0a -id 3 -parent 2 -svc cart -kind server
  span -trace 0a -id 4 -parent 3 -svc cart -kind client
  span -trace 0a -id 5 -parent 4 -svc stock -kind server
}
advance 10s
expect s1.trigger(0a) == idle
expect m1.graph == "cart->stock calls=1 errors=0"
expect m1.stat(graph_unpaired_spans_total, kind=server) == 1
