# Spans of one trace meet whatever format they come in.
spanmill m1 {
}
sink s1
client c1 -as otlp { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 1 -svc gateway -kind client }
client c2 -as otlp_json { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 2 -parent 1 -svc cart -kind server }
client c2 { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 3 -parent 2 -svc cart -kind client }
client c3 -as zipkin_v2_json { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 4 -parent 3 -svc stock -kind server }
advance 7s
expect s1.writes == 1
expect s1.services(463ac35c9f6413ad48485a3953bb6124) == "cart cart gateway stock"
expect m1.graph == "cart->stock calls=1 errors=0; gateway->cart calls=1 errors=0"
