# What cannot be decoded is refused whole and has no span count.
spanmill m1 {
}
sink s1
client c1 -svc cart -cut 3 { span -trace 0a -id 1 }
expect c1.result != ok
client c1 -as otlp -hex ffffffffffffffffffff7f
expect c1.result != ok
client c2 -as otlp_json -raw '{"resourceSpans":[{'
expect c2.result != ok
expect c2.text != ""
client c3 -as zipkin_v2_json -raw '{"id":"1"}'
expect c3.result != ok
client c4 -svc cart { span -trace 0b -id 1 }
expect c4.result == ok
advance 7s
expect m1.stat(payloads_refused_total, reason=undecodable) == 4
expect m1.stat(payloads_total) == 1
expect m1.stat(spans_received_total) == 1
expect s1.spans == 1
