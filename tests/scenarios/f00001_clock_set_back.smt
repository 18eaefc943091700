# A clock that is set back neither closes windows early nor holds them open for ever.
spanmill m1 {
windows: {after_root: 2s}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 }
advance 1s
advance -5s
client c1 { span -trace 0a -id 2 -parent 1 }
expect c1.result == ok
advance 5s
expect m1.stat(traces_open) == 1
advance 2s
expect s1.spans(0a) == 2
expect m1.balance
