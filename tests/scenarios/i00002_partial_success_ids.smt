# Spans with bad ids are refused one by one, with a reason; the good one beside them goes on.
spanmill m1 {
}
sink s1
client c1 -svc cart {
  span -trace =00000000000000000000000000000000 -id 1
  span -trace =0102 -id 1
  span -trace = -id 1
  span -trace 0a -id =0000000000000000
  span -trace 0a -id =01020304
  span -trace 0a -id 3 -parent =0102
  span -trace 0a -id 4
}
expect c1.result == ok
expect c1.accepted == 1
expect c1.rejected == 6
expect c1.text != ""
advance 20s
expect m1.stat(spans_rejected_total, reason=invalid_trace_id) == 3
expect m1.stat(spans_rejected_total, reason=invalid_span_id) == 2
expect m1.stat(spans_rejected_total, reason=invalid_parent_id) == 1
expect s1.ids(0a) == 4
expect m1.balance
