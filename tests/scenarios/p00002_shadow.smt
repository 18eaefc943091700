# A shadow rule counts what it would do and lets the next one decide.
spanmill m1 {
rules:
  - {name: trial, when: '{ status = error }', drop: true, shadow: true}
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -error
  span -trace 0b -id 1
}
advance 7s
expect s1.rule(0a) == errors
expect m1.rule(trial) == "matched=1 keep=0 drop=1 limit=0"
expect m1.rule(errors) == "matched=1 keep=1 drop=0 limit=0"
expect s1.tracestate(0a, 1) == ""
