# Past series_max new label sets share one overflow series; no span is lost from the sum.
spanmill m1 {
analysis:
  span_metrics: {series_max: 10}
}
sink s1
client c1 -svc cart { span -trace 0a -id 1 -name n%d -repeat 12 }
advance 7s
expect m1.stat(traces_spanmetrics_calls_total) == 12
expect m1.stat(traces_spanmetrics_calls_total, metric_overflow=true) == 2
