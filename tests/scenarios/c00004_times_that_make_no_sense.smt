# An end before the start is a duration of nothing; negative Zipkin times are absent.
spanmill m1 {
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -kind server -dur -5ms }
expect c1.accepted == 1
client c2 -as zipkin_v2_json -raw '[{"traceId":"b","id":"1","timestamp":-5,"duration":-7,"localEndpoint":{"serviceName":"x"}}]'
expect c2.result == ok
advance 10s
expect s1.spans == 2
expect m1.stat(traces_spanmetrics_calls_total) == 2
expect m1.stat(traces_spanmetrics_latency_sum) == 0
