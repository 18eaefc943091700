# What reopened a dropped trace turns out to be known by the time its window closes: nothing is decided, charged or kept.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc a { span -trace 48485a3953bb6124 -id 1 -start 0s -kind client }
advance 7s
client c1 -svc b { span -trace 111111111111111148485a3953bb6124 -id 3 -start 0s -parent 1 -kind server -error }
advance 1s
client c1 -svc b { span -trace 222222222222222248485a3953bb6124 -id 2 -start 0s -parent 1 -kind server -error }
advance 1s
client c1 -svc b { span -trace 48485a3953bb6124 -id 2 -start 0s -parent 1 -kind server -error }
advance 20s
expect m1.stat(traces_opened_total) == 4
expect s1.spans == 2
expect m1.rule(errors) == "matched=2 keep=2 drop=0 limit=0"
expect m1.stat(traces_decided_total, verdict=kept) == 2
expect m1.stat(spans_duplicate_total) == 1
expect m1.balance
