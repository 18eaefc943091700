# What a sink could not finish at the end is counted as dropped by the shutdown.
spanmill m1 {
}
sink s1 -hold
sink s2
client c1 -svc web { span -trace 0a -id 1 -repeat 3 }
advance 7s
drain
expect m1.stat(sink_spans_dropped_total, sink=s1, reason=shutdown) == 3
expect m1.stat(sink_spans_delivered_total, sink=s2) == 3
expect s2.spans == 3
