# Malformed payloads of every kind between good ones cost nothing but themselves.
spanmill m1 {
}
sink s1
client c1 -svc web { span -trace 0a -id 1 }
client bad -as otlp -hex 0aff
client bad -as otlp -hex 0a0212ff01
client bad -as otlp -hex 08
client bad -as otlp -raw "GET / HTTP/1.1"
client bad -as otlp_json -raw "[1,2"
client bad -as otlp_json -raw '{"resourceSpans":"x"}'
client bad -as zipkin_v2_json -raw '[{]'
client bad -as zipkin_v2_json -raw "[{\"traceId\":\"\xff\"}]"
expect bad.result != ok
client c1 { span -trace 0a -id 2 -parent 1 }
advance 7s
expect m1.stat(payloads_refused_total, reason=undecodable) == 8
expect m1.stat(payloads_total) == 2
expect s1.ids(0a) == "1 2"
