# A drain delivers what was still open or lingering.
spanmill m1 {
}
sink s1 -linger 10m
client c1 -svc web { span -trace 0a -id 1 }
advance 10s
expect s1.spans == 0
client c1 { span -trace 0b -id 1 }
drain
expect s1.spans == 2
expect m1.stat(sink_spans_dropped_total) == 0
