# The tag `error` with any value but "false" is a failure, the empty one too.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -as zipkin_v2_json -svc a {
  span -trace 0a -id 1 -kind server -attr error=false
  span -trace 0b -id 1 -kind server -attr error=
  span -trace 0c -id 1 -kind server -attr error=boom
}
advance 7s
expect s1.traces == 2
expect s1.spans(0a) == 0
