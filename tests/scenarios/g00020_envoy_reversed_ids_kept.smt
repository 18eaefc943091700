# The repair of Envoy's ids can be turned off: then the app hangs below nobody.
spanmill m1 {
zipkin: {repair_ids: false}
}
sink s1
client c1 -as zipkin_proto { span -trace b6fa0717a447879f -id 9f8747a41707fab6 -svc ingress -kind client -dur 30ms }
advance 7s
expect s1.spans(b6fa0717a447879f, 9f8747a41707fab6) == 1
expect m1.stat(spans_repaired_total) == 0
