# A sink's queue is bounded; what has no room is dropped for this sink alone, the newest first.
spanmill m1 {
windows: {after_root: 1s}
}
sink s1 -queue 20KiB -hold
sink s2
client c1 -svc web { span -trace 0a -id 1 -repeat 2 -pad 4000 }
advance 2s
client c1 { span -trace 0b -id 1 -repeat 2 -pad 4000 }
advance 2s
client c1 { span -trace 0c -id 1 -repeat 2 -pad 4000 }
advance 2s
expect m1.stat(sink_spans_dropped_total, sink=s1, reason=queue_full) == 2
expect m1.stat(sink_spans_queued, sink=s1) == 4
expect s2.spans == 6
expect m1.balance
sink s1 -release
advance 1s
expect s1.spans == 4
expect s1.spans(0c) == 0
client c1 { span -trace 0d -id 1 -repeat 2 -pad 4000 }
advance 2s
expect s1.spans(0d) == 2
