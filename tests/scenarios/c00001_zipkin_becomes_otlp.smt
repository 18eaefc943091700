# What an OTLP receiver sees of a Zipkin span: tags, status from the error tag, the peer, shared and debug in plain attributes.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v2_json {
  span -trace 0a -id 1 -svc Gateway -name "GET /" -kind client -remote Cart -error -message timeout -attr http.method=GET
  span -trace 0a -id 1 -svc cart -name "get /" -kind server -shared
}
advance 7s
expect s1.services(0a) == "cart gateway"
expect s1.name(0a, 1, gateway) == "get /"
expect s1.kind(0a, 1, gateway) == client
expect s1.status(0a, 1, gateway) == error
expect s1.attr(0a, 1, http.method) == GET
expect s1.attr(0a, 1, peer.service) == cart
expect s1.attr(0a, 1, zipkin.shared) == true
