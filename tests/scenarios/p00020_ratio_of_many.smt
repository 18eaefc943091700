# A ratio keeps its share of ids that are anything but random, the same ones with any number of shards.
spanmill m1 {
rules:
  - {name: tenth, ratio: 10%}
}
sink s1
client c1 -svc web { span -trace 1000 -id 1 -repeat 2000 -spread }
advance 7s
expect s1.traces > 150
expect s1.traces < 250
expect m1.stat(traces_decided_total) == 2000
expect m1.balance
