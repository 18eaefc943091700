# Recorded spans move the clock themselves; at the end of the input every window is decided.
spanmill m1 {
windows: {after_root: 2s}
}
sink s1
client c1 -svc cart -recorded { span -trace 0a -id 1 -start 0s -dur 1s }
client c1 -recorded { span -trace 0b -id 1 -start 1s -dur 1s }
expect s1.traces == 0
client c1 -recorded { span -trace 0c -id 1 -start 10s -dur 1s }
expect m1.stat(windows_closed_total, trigger=root) == 2
client c1 -recorded { span -trace 0d -id 1 -start 10s -dur 1s }
drain
expect s1.traces == 4
expect s1.trigger(0a) == root
expect s1.trigger(0d) == shutdown
