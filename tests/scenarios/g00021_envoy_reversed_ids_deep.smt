# The proxies behind the second one have neither the root's id nor its parent in their bodies; Envoy's tags tell.
spanmill m1 {
}
sink s1
client c1 -as zipkin_proto { span -trace b6fa0717a447879f -id 0200000000000000 -parent 0100000000000000 -svc third -kind server -attr component=proxy -attr node_id=sidecar }
client c2 -as otlp { span -trace b6fa0717a447879f -id 1 -svc second -kind client -dur 30ms }
advance 7s
expect m1.stat(spans_repaired_total) == 1
expect s1.parent(b6fa0717a447879f, 2) == 0000000000000001
expect m1.edge(second->third) == "rpc calls=1 errors=0 timed=1"
