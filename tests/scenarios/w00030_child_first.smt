# Spans come in any order: children before parents, the root last.
spanmill m1 {
windows: {after_root: 2s, idle: 10s}
}
sink s1
client c1 { span -trace 0a -id 3 -parent 2 -svc b -kind server }
advance 3s
client c1 { span -trace 0a -id 2 -parent 1 -svc a -kind client }
advance 3s
client c1 { span -trace 0a -id 1 -svc a -kind server }
advance 1.9s
expect m1.stat(traces_open) == 1
advance 300ms
expect s1.trigger(0a) == root
expect m1.graph == "a->b calls=1 errors=0"
