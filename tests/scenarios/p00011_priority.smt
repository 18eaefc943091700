# Debug spans and sampling.priority > 0 go before all rules; 0 does not.
spanmill m1 {
rules:
  - {name: rest, drop: true}
}
sink s1
client c1 -as zipkin_v2_json -svc web { span -trace 0a -id 1 -debug }
client c2 -as otlp -svc web {
  span -trace 0b -id 1 -int sampling.priority=1
  span -trace 0c -id 1 -int sampling.priority=0
  span -trace 0d -id 1
  span -trace 0d -id 2 -parent 1 -int sampling.priority=2
}
advance 7s
expect s1.traces == 3
expect s1.rule(0a) == priority
expect s1.rule(0b) == priority
expect s1.rule(0d) == priority
expect s1.spans(0c) == 0
