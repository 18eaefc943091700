# A window with a root closes when no span came for windows.after_root.
spanmill m1 {
windows: {after_root: 2s, idle: 10s}
}
sink s1
client c1 -svc gateway {
  span -trace 0a -id 1 -name "GET /" -kind server -dur 150ms
}
advance 1s
client c1 -svc cart { span -trace 0a -id 2 -parent 1 -kind server }
advance 1.9s
expect m1.stat(traces_open) == 1
expect s1.spans == 0
advance 1s
expect m1.stat(traces_open) == 0
expect m1.stat(windows_closed_total, trigger=root) == 1
expect s1.spans(0a) == 2
expect s1.trigger(0a) == root
expect m1.balance
