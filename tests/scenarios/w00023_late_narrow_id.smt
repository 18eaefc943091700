# A late span with the 64-bit form of a kept trace's id goes to that trace under its 128-bit id.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 1 -svc gateway -kind client }
advance 7s
client c1 { span -trace 48485a3953bb6124 -id 2 -parent 1 -svc cart -kind server }
advance 7s
expect m1.stat(spans_late_total, verdict=kept) == 1
expect m1.graph == "gateway->cart calls=1 errors=0"
expect s1.services(463ac35c9f6413ad48485a3953bb6124) == "cart gateway"
expect s1.traces == 1
