# More spans than limits.payload_spans_max: the payload is refused whole.
spanmill m1 {
limits: {payload_spans_max: 10}
}
sink s1
client c1 -svc cart { span -trace 0a -id 1 -repeat 11 }
expect c1.result == limit
expect c1.accepted == 0
client c1 { span -trace 0a -id 1 -repeat 10 }
expect c1.accepted == 10
advance 7s
expect m1.stat(spans_received_total) == 10
