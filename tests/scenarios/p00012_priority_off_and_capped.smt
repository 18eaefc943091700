# sampling.priority: rate caps the implicit rule; what it refuses goes to the rules.
spanmill m1 {
sampling: {priority: rate, priority_spans_per_second: 1}
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 -svc web -each {
  span -trace f0000000000000 -id 1 -flags 2 -debug
  span -trace e0000000000000 -id 1 -flags 2 -debug
  span -trace d0000000000000 -id 1 -flags 2 -debug
}
advance 7s
expect s1.traces == 2
expect s1.spans(d0000000000000) == 0
expect m1.rule(rest) == "matched=1 keep=0 drop=1 limit=0"
