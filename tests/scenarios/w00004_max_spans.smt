# A window closes at windows.max_spans, without waiting for the clock.
spanmill m1 {
windows: {max_spans: 3}
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -repeat 3
  span -trace 0b -id 1 -repeat 2
}
advance 500ms
expect m1.stat(windows_closed_total, trigger=max_spans) == 1
expect s1.spans(0a) == 3
expect s1.trigger(0a) == max_spans
expect s1.spans(0b) == 0
expect m1.stat(traces_open) == 1
