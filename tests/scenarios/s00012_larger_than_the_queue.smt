# A trace that is larger than a sink's whole share passes when nothing else waits.
spanmill m1 {
windows: {after_root: 1s}
}
sink s1 -queue 64KiB
client c1 -svc web { span -trace 0a -id 1 -repeat 10 -pad 20000 }
advance 3s
expect s1.spans == 10
expect m1.stat(sink_spans_dropped_total) == 0
