# Partial success of the other side: the refused ones are counted, the rest is delivered.
spanmill m1 {
}
sink s1 -partial 2
client c1 -svc web { span -trace 0a -id 1 -repeat 5 }
advance 10s
expect m1.stat(sink_spans_delivered_total, sink=s1) == 3
expect m1.stat(sink_spans_rejected_total, sink=s1) == 2
