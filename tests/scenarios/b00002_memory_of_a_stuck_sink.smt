# Traces that wait for a stuck sink count for the budget: payloads are refused until it answers.
spanmill m1 -memory {
memory: {budget: 16MiB, soft: 10%, hard: 90%}
windows: {after_root: 1s}
}
sink s1 -hold
client c1 -svc web { span -trace 0a -id 1 -repeat 60 -pad 30000 }
advance 3s
expect m1.stat(spans_open) == 0
client c2 -svc web { span -trace 0b -id 1 }
expect c2.result == again
sink s1 -release
advance 1s
client c2 { span -trace 0b -id 1 }
expect c2.result == ok
expect s1.spans == 60
