# Jaeger's 64-bit trace ids, whose high half is zero on the wire, join the open 128-bit trace with that low half.
spanmill m1 {
}
sink s1
client c1 -as jaeger { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 1 -svc gateway -kind client }
client c2 -as jaeger { span -trace 48485a3953bb6124 -id 2 -parent 1 -svc cart -kind server }
advance 7s
expect m1.stat(trace_ids_joined_total) == 1
expect m1.stat(traces_opened_total) == 1
expect s1.services(463ac35c9f6413ad48485a3953bb6124) == "cart gateway"
expect m1.graph == "gateway->cart calls=1 errors=0"
