# Past limits.scopes_max spans of new resources are refused one by one; known resources go on.
spanmill m1 {
limits: {scopes_max: 100}
}
sink s1
client c1 { span -trace 0a -id 1 -svc s%d -repeat 150 }
expect c1.result == ok
expect c1.rejected >= 50
advance 100ms
expect m1.stat(spans_rejected_total, reason=scopes_full) >= 50
expect m1.balance
client c2 { span -trace 0b -id 1 -svc s0 }
expect c2.accepted == 1
advance 20s
expect m1.balance
