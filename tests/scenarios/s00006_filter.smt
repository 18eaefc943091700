# A sink that wants some traces only: the others count as filtered.
spanmill m1 {
}
sink s1 -only-errors
sink s2
client c1 -svc web {
  span -trace 0a -id 1 -error
  span -trace 0b -id 1
  span -trace 0b -id 2 -parent 1
}
advance 7s
expect s1.spans == 1
expect s2.spans == 3
expect m1.stat(sink_spans_filtered_total, sink=s1) == 2
expect m1.stat(sink_spans_kept_total, sink=s1) == 3
expect m1.stat(sink_spans_filtered_total, sink=s2) == 0
