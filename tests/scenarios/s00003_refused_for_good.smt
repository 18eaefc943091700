# What the other side refuses for good is not tried again.
spanmill m1 {
}
sink s1 -refuse
client c1 -svc web { span -trace 0a -id 1 -repeat 3 }
advance 20s
expect s1.attempts == 1
expect m1.stat(sink_spans_rejected_total, sink=s1) == 3
expect m1.stat(sink_spans_delivered_total, sink=s1) == 0
