# Past series_max new label sets share one overflow series; no span is lost from the sum.
spanmill m1 {
analysis:
  span_metrics: {series_max: 10}
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -name n1
  span -trace 0a -id 2 -name n2
  span -trace 0a -id 3 -name n3
  span -trace 0a -id 4 -name n4
  span -trace 0a -id 5 -name n5
  span -trace 0a -id 6 -name n6
  span -trace 0a -id 7 -name n7
  span -trace 0a -id 8 -name n8
  span -trace 0a -id 9 -name n9
  span -trace 0a -id 10 -name n10
  span -trace 0a -id 11 -name n11
  span -trace 0a -id 12 -name n12
}
advance 7s
expect m1.stat(traces_spanmetrics_calls_total) == 12
expect m1.stat(traces_spanmetrics_calls_total, metric_overflow=true) == 2
