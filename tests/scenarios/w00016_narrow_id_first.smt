# The other way round: the trace that was opened with 64 bits becomes the 128-bit one.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json { span -trace 48485a3953bb6124 -id 2 -parent 1 -svc cart -kind server }
client c2 { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 1 -svc gateway -kind client }
advance 7s
expect m1.stat(traces_opened_total) == 1
expect m1.stat(trace_ids_joined_total) == 1
expect m1.graph == "gateway->cart calls=1 errors=0"
expect s1.writes == 1
