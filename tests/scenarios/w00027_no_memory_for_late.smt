# late.memory: 0 keeps no skeletons: late spans follow the decision and are counted as unlinked.
spanmill m1 {
late: {memory: 0}
}
sink s1
client c1 { span -trace 0a -id 1 -svc a -kind client }
advance 7s
client c1 { span -trace 0a -id 2 -parent 1 -svc b -kind server }
advance 5s
expect s1.spans == 2
expect m1.stat(spans_late_unlinked_total) == 1
expect m1.graph == ""
expect m1.balance
