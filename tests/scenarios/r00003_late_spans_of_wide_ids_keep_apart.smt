# Late spans are linked to their own trace, not to another one whose 128-bit id ends alike and was decided after it.
spanmill m1
sink s1
client c1 -svc gateway { span -trace 11111111111111110000000000000abc -id 1 -start 0s -kind client }
advance 1s
client c1 -svc other { span -trace 22222222222222220000000000000abc -id 1 -start 0s -kind client }
advance 7s
expect s1.traces == 2
client c1 -svc cart { span -trace 11111111111111110000000000000abc -id 2 -start 0s -parent 1 -kind server }
client c1 -svc gateway { span -trace 11111111111111110000000000000abc -id 1 -start 0s -kind client }
advance 7s
expect m1.graph == "gateway->cart calls=1 errors=0"
expect m1.stat(spans_duplicate_total) == 1
expect m1.balance
