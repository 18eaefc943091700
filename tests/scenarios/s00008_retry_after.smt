# What the other side asks to wait goes before the back-off.
spanmill m1 {
}
sink s1 -retry 1s -fail 1 -retry-after 20s
client c1 -svc web { span -trace 0a -id 1 }
advance 25s
expect s1.attempts == 1
advance 5s
expect s1.attempts == 2
expect s1.spans == 1
