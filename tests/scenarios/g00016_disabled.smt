# Analysis that is switched off leaves no series.
spanmill m1 {
analysis:
  graph: {enabled: false}
  span_metrics: {enabled: false}
}
sink s1
client c1 { span -trace 0a -id 1 -svc a -kind server }
advance 7s
expect m1.stat(traces_spanmetrics_calls_total) == 0
expect m1.stat(traces_service_graph_request_total) == 0
expect s1.spans == 1
