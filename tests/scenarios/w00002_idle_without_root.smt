# Without a root the window waits for windows.idle, counted from the last span.
spanmill m1 {
windows: {after_root: 2s, idle: 5s}
}
sink s1
client c1 -svc cart { span -trace 0a -id 2 -parent 1 }
advance 4s
client c1 { span -trace 0a -id 3 -parent 2 }
advance 4.5s
expect m1.stat(traces_open) == 1
advance 1s
expect m1.stat(windows_closed_total, trigger=idle) == 1
expect s1.trigger(0a) == idle
expect s1.ids(0a) == "2 3"
