# Zipkin v1: core annotations become kind, times and addresses, binary annotations tags.
spanmill m1 {
}
sink s1
client c1 -as zipkin_v1_json {
    span -trace 1 -id 1 -svc Shop -name "GET /" -kind server -dur 30ms -attr k=v -error -message broke
    span -trace 1 -id 2 -parent 1 -svc shop -kind client -remote MySQL -dur 10ms
    span -trace 1 -id 3 -parent 1 -svc shop -kind producer -remote kafka
}
expect c1.result == ok
advance 7s
expect s1.spans == 3
expect s1.kind(1, 1) == server
expect s1.name(1, 1) == "get /"
expect s1.services(1) == "shop shop shop"
expect s1.status(1, 1) == error
expect s1.attr(1, 1, k) == v
expect s1.attr(1, 2, peer.service) == mysql
expect s1.kind(1, 3) == producer
expect m1.graph ~ "shop->mysql calls=1 errors=0"
