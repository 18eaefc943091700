# Jaeger's debug flag keeps the trace whatever the rules say.
spanmill m1 {
rules: [{name: nothing, drop: true}]
}
sink s1
client c1 -as jaeger -svc web { span -trace 0a -id 1 -debug }
client c1 { span -trace 0b -id 1 }
advance 16s
expect s1.spans(0a) == 1
expect s1.spans(0b) == 0
expect m1.balance
