# A trace whose 128-bit id shares the low half with a kept one gets a decision of its own.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 { span -trace 11111111111111110000000000000abc -id 1 -svc a -kind server -error }
advance 7s
client c1 { span -trace 22222222222222220000000000000abc -id 1 -svc b -kind server }
advance 7s
expect s1.traces == 1
expect m1.stat(traces_decided_total, verdict=dropped) == 1
expect m1.stat(spans_late_total) == 0
