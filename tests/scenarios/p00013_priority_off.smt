# sampling.priority: off leaves debug traces to the rules.
spanmill m1 {
sampling: {priority: off}
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 -svc web { span -trace 0a -id 1 -debug }
advance 7s
expect s1.traces == 0
expect m1.rule(rest) == "matched=1 keep=0 drop=1 limit=0"
