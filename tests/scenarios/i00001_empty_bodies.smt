# A body without spans is fine in every format.
spanmill m1 {
}
sink s1
client c1 -as otlp -hex ""
expect c1.result == ok
client c2 -as otlp_json -raw {}
expect c2.result == ok
client c3 -as zipkin_v2_json -raw []
expect c3.result == ok
client c1 -as otlp -hex 0a00
expect c1.result == ok
advance 1s
expect m1.stat(payloads_total) == 4
expect m1.stat(spans_received_total) == 0
