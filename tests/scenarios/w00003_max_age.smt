# Spans that keep coming hold a window open no longer than windows.max_age; what follows is late.
spanmill m1 {
windows: {after_root: 2s, idle: 4s, max_age: 4s}
}
sink s1
client c1 -svc cart { span -trace 0a -id 1 }
advance 1s
client c1 { span -trace 0a -id 2 -parent 1 }
advance 1s
client c1 { span -trace 0a -id 3 -parent 1 }
advance 1s
client c1 { span -trace 0a -id 4 -parent 1 }
advance 900ms
expect m1.stat(windows_closed_total, trigger=max_age) == 0
advance 200ms
expect m1.stat(windows_closed_total, trigger=max_age) == 1
client c1 { span -trace 0a -id 5 -parent 1 }
advance 5s
expect s1.trigger(0a) == "max_age late"
expect s1.spans(0a) == 5
expect m1.stat(spans_late_total, verdict=kept) == 1
