# Late spans carry the threshold that their trace was kept with.
spanmill m1 {
rules:
  - {name: half, ratio: 50%}
}
sink s1
client c1 -svc web { span -trace f0000000000000 -id 1 -flags 2 }
advance 7s
client c1 { span -trace f0000000000000 -id 2 -parent 1 -flags 2 }
advance 5s
expect s1.spans == 2
expect s1.tracestate(f0000000000000, 2) == ot=th:8
expect s1.rule(f0000000000000) == "half half"
