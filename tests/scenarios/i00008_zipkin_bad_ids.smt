# A Zipkin list with a bad id is refused whole, as Zipkin does, and says which; the next one is taken.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json -raw '[{"traceId":"a","id":"1"},{"traceId":"a","id":"xyz"}]'
expect c1.result == invalid
expect c1.text ~ "id is all zeros or not hex"
client c1 -raw '[{"traceId":"b","id":"2","localEndpoint":{"serviceName":"Cart"}}]'
expect c1.result == ok
advance 20s
expect m1.stat(payloads_refused_total, reason=undecodable) == 1
expect m1.stat(spans_received_total) == 1
expect s1.services(0b) == cart
