# Past late.grace a late span still follows the decision, but nothing is left to link it to.
spanmill m1 {
late: {grace: 10s}
}
sink s1
client c1 { span -trace 0a -id 1 -svc gateway -kind client }
advance 30s
client c1 { span -trace 0a -id 2 -parent 1 -svc cart -kind server }
advance 5s
expect s1.ids(0a) == "1 2"
expect m1.stat(spans_late_total, verdict=kept) == 1
expect m1.stat(spans_late_unlinked_total) == 1
expect m1.graph == ""
expect m1.balance
