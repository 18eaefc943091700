# A slow sink never stops another, and gets everything when it answers again.
spanmill m1 {
windows: {after_root: 1s}
}
sink slow -hold -in-flight 1
sink fast
client c1 -svc web { span -trace 0a -id 1 }
advance 2s
client c1 { span -trace 0b -id 1 }
advance 2s
client c1 { span -trace 0c -id 1 }
advance 2s
expect slow.held == 1
expect slow.spans == 0
expect fast.spans == 3
expect m1.stat(sink_spans_queued, sink=slow) == 3
expect m1.balance
sink slow -release
advance 1s
expect slow.spans == 3
expect m1.stat(sink_spans_queued, sink=slow) == 0
