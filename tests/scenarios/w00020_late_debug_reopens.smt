# A debug span of a dropped trace opens a window and is kept whatever the rules say.
spanmill m1 {
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 -as zipkin_v2_json -svc gateway { span -trace 0a -id 1 -kind server }
advance 7s
client c1 { span -trace 0a -id 2 -parent 1 -kind server -debug }
advance 20s
expect s1.ids(0a) == 2
expect s1.rule(0a) == priority
expect m1.stat(spans_sampled_out_total) == 1
