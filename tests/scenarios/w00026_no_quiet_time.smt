# windows.after_root: 0s closes a trace with its root at the next tick.
spanmill m1 {
windows: {after_root: 0s}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -kind server }
advance 200ms
expect m1.stat(windows_closed_total, trigger=root) == 1
