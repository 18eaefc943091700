# A batch is given up, and counted, when its time for retries is over.
spanmill m1 {
}
sink s1 -retry 1s -give-up 10s -fail 1000
client c1 -svc web { span -trace 0a -id 1 -repeat 3 }
advance 30s
expect m1.stat(sink_spans_dropped_total, sink=s1, reason=retries_exhausted) == 3
expect s1.attempts > 2
expect s1.spans == 0
sink s1 -accept
client c1 { span -trace 0b -id 1 }
advance 7s
expect s1.spans(0b) == 1
expect m1.balance
