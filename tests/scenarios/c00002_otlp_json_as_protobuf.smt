# The same spans as OTLP JSON and as protobuf leave alike.
spanmill m1 {
}
sink s1
client c1 -as otlp {
  span -trace 0a -id 1 -svc cart -name "GET /ü" -kind server -attr http.route=/ü -int http.status_code=503 -error -message down
}
client c2 -as otlp_json {
  span -trace 0b -id 1 -svc cart -name "GET /ü" -kind server -attr http.route=/ü -int http.status_code=503 -error -message down
}
advance 7s
expect s1.name(0a, 1) == "GET /ü"
expect s1.name(0b, 1) == "GET /ü"
expect s1.attr(0a, 1, http.status_code) == 503
expect s1.attr(0b, 1, http.status_code) == 503
expect s1.attr(0b, 1, http.route) == /ü
expect s1.status(0b, 1) == error
expect s1.kind(0b, 1) == server
expect m1.stat(traces_spanmetrics_calls_total, service=cart, status_code=STATUS_CODE_ERROR) == 2
