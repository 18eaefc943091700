# The first rule that matches decides, and what no rule matches is kept.
spanmill m1 {
rules:
  - {name: health, when: '{ name = "GET /healthz" }', drop: true}
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: slow, when: '{ traceDuration > 500ms }', keep: true}
  - {name: batch, when: '{ resource.service.name = "batch" }', drop: true}
}
sink s1
client c1 -svc web {
  span -trace 0a -id 1 -name "GET /healthz" -error
  span -trace 0b -id 1 -error -dur 2s
  span -trace 0c -id 1 -dur 2s
  span -trace 0d -id 1
  span -trace 0e -id 1 -svc batch
}
advance 7s
expect s1.traces == 3
expect s1.rule(0b) == errors
expect s1.rule(0c) == slow
expect s1.rule(0d) == default
expect m1.rule(health) == "matched=1 keep=0 drop=1 limit=0"
expect m1.rule(batch) == "matched=1 keep=0 drop=1 limit=0"
expect m1.stat(traces_decided_total, verdict=dropped) == 2
