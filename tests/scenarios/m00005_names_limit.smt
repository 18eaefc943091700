# Past limits.names_max names are no longer told apart in metrics; what sinks get is as it came.
spanmill m1 {
limits: {names_max: 1000}
}
sink s1
client c1 -svc cart { span -trace 0a -id 1 -name n%d -repeat 1500 }
expect c1.accepted == 1500
advance 7s
expect s1.spans == 1500
expect s1.name(0a, 5dc) == n1499
expect m1.stat(traces_spanmetrics_calls_total) == 1500
