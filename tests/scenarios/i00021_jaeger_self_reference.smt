# A Jaeger span that names itself as its parent is a root with a link to itself: the window closes as one with a root does.
spanmill m1 {
}
sink s1
client c1 -as jaeger {
  span -trace 0a -id 1 -parent 1 -svc a -kind server
  span -trace 0a -id 2 -parent 1 -svc a -kind client -remote b
}
advance 7s
expect s1.spans(0a) == 2
expect s1.trigger(0a) == root
expect s1.parent(0a, 1) == 0
expect s1.parent(0a, 2) == 0000000000000001
expect m1.graph == "a->b calls=1 errors=0"
expect m1.balance
