# What each rule did, and expressions that were given up, are exported: shadow rules count what they would have done.
spanmill m1 {
windows: {after_root: 1s}
rules:
  - {name: watch, when: '{ name = "a" }', drop: true, shadow: true}
  - {name: a, when: '{ name = "a" }', keep: true}
  - {name: b, when: '{ name = "b" }', drop: true}
  - {name: slow, when: '{ span.x =~ `(x+x+)+[yz]` }', drop: true}
  - {name: c, when: '{ name = "c" }', rate: {spans_per_second: 1, burst: 1}}
}
client c1 {
  span -trace 0a -id 1 -name a
  span -trace 0b -id 1 -name b
  span -trace 0b1 -id 1 -name b
  span -trace 0c -id 1 -name c
  span -trace 0d -id 1 -name d -attr x=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
}
advance 10s
expect m1.stat(rule_traces_total, rule=watch, outcome=drop) == 1
expect m1.stat(rule_traces_total, rule=a, outcome=keep) == 1
expect m1.stat(rule_traces_total, rule=b) == 2
expect m1.stat(rule_traces_total, rule=b, outcome=drop) == 2
expect m1.stat(rule_traces_total, rule=c, outcome=limited) == 1
expect m1.stat(rule_traces_total, rule=default, outcome=keep) == 1
expect m1.stat(rule_traces_total, rule=priority) == 0
expect m1.stat(rule_regex_limits_total) == 1
