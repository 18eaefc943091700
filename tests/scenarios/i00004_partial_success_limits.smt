# Limits reject a span, they never truncate it.
spanmill m1 {
limits: {attributes_max: 2, value_bytes_max: 128, span_bytes_max: 1024}
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -attr a=1 -attr b=2 -attr c=3
  span -trace 0a -id 2 -pad 129
  span -trace 0a -id 3 -attr a=1 -attr b=2
  span -trace 0a -id 4 -pad 128
}
expect c1.accepted == 2
expect c1.rejected == 2
advance 20s
expect m1.stat(spans_rejected_total, reason=too_many_attributes) == 1
expect m1.stat(spans_rejected_total, reason=value_too_long) == 1
expect s1.ids(0a) == "3 4"
