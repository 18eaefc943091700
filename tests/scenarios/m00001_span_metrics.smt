# Tempo's names and labels, one series per service, name, kind and status.
spanmill m1 {
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -name "GET /cart" -kind server -dur 3ms
  span -trace 0b -id 1 -name "GET /cart" -kind server -dur 5ms
  span -trace 0c -id 1 -name "GET /cart" -kind server -dur 2s -error
  span -trace 0d -id 1 -name "GET /cart" -kind client -dur 1ms -ok
}
advance 7s
expect m1.stat(traces_spanmetrics_calls_total) == 4
expect m1.stat(traces_spanmetrics_calls_total, service=cart, span_name=GET /cart, span_kind=SPAN_KIND_SERVER, status_code=STATUS_CODE_UNSET) == 2
expect m1.stat(traces_spanmetrics_calls_total, span_kind=SPAN_KIND_SERVER, status_code=STATUS_CODE_ERROR) == 1
expect m1.stat(traces_spanmetrics_calls_total, span_kind=SPAN_KIND_CLIENT, status_code=STATUS_CODE_OK) == 1
expect m1.stat(traces_spanmetrics_latency_count, span_kind=SPAN_KIND_SERVER) == 3
expect m1.stat(traces_spanmetrics_latency_sum, status_code=STATUS_CODE_UNSET) == 0.008
expect m1.stat(traces_spanmetrics_latency_bucket, status_code=STATUS_CODE_UNSET, le=0.004) == 1
expect m1.stat(traces_spanmetrics_latency_bucket, status_code=STATUS_CODE_UNSET, le=0.008) == 2
expect m1.stat(traces_spanmetrics_size_total) > 0
