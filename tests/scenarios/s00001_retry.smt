# A sink that fails is asked again after a back-off; nothing is lost or sent twice.
spanmill m1 {
}
sink s1 -retry 5s -fail 2
client c1 -svc web { span -trace 0a -id 1 -repeat 3 }
advance 7s
expect s1.attempts == 1
expect m1.stat(sink_spans_queued, sink=s1) == 3
expect m1.balance
advance 30s
expect s1.attempts == 3
expect s1.spans == 3
expect m1.stat(sink_retries_total, sink=s1) == 2
expect m1.stat(sink_spans_delivered_total, sink=s1) == 3
expect m1.stat(sink_spans_queued, sink=s1) == 0
