# Batches in back-off keep their places: a server in trouble meets a bounded number of requests.
spanmill m1 {
windows: {after_root: 1s}
}
sink s1 -batch 1 -in-flight 2 -fail 2 -retry 10s
client c1 -svc web { span -trace 0a -id 1 -repeat 6 -spread }
advance 2500ms
expect s1.attempts == 2
expect m1.stat(sink_batches_in_flight, sink=s1) == 2
expect m1.stat(sink_spans_queued, sink=s1) == 6
advance 30s
expect s1.spans == 6
expect s1.attempts == 8
