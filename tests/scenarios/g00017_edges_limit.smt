# Past edges_max calls are counted together; none is lost from the sum.
spanmill m1 {
analysis:
  graph: {edges_max: 10}
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc web -kind server
  span -trace 0a -id 100 -parent 1 -svc web -kind client -attr peer.service=p%d -repeat 15
}
advance 7s
expect m1.edge((overflow)->(overflow)) ~ "calls=5"
expect m1.stat(graph_calls_total) == 15
expect m1.stat(graph_calls_overflowed_total) == 5
