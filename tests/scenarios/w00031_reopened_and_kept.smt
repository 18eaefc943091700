# A trace that an error reopened and that was kept then stays kept: what follows is late, an error too.
spanmill m1 {
rules:
  - {name: errors, when: '{ status = error }', keep: true}
  - {name: rest, drop: true}
}
sink s1
client c1 -svc a { span -trace 0a -id 1 -start 0s -kind client }
advance 7s
client c1 -svc b { span -trace 0a -id 2 -start 0s -parent 1 -kind server -error }
advance 20s
expect s1.ids(0a) == 2
client c1 -svc b { span -trace 0a -id 3 -start 0s -parent 2 -kind client }
advance 20s
expect s1.ids(0a) == "2 3"
client c1 -svc c { span -trace 0a -id 4 -start 0s -parent 3 -kind server -error }
advance 20s
expect s1.ids(0a) == "2 3 4"
expect m1.graph == "a->b calls=1 errors=1; b->c calls=1 errors=1"
expect m1.stat(spans_late_total, verdict=kept) == 2
