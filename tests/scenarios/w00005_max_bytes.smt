# A window closes at windows.max_bytes of canonical bytes.
spanmill m1 {
windows: {max_bytes: 16KiB}
}
sink s1
client c1 -svc cart -each { span -trace 0a -id 1 -repeat 5 -pad 4000 }
advance 500ms
expect m1.stat(windows_closed_total, trigger=max_bytes) == 1
expect s1.spans(0a) == 5
expect s1.trigger(0a) == max_bytes
