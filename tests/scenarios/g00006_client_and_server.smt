# A call that both sides report counts once; the server's latency is the edge's.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc gateway -kind server -dur 200ms
  span -trace 0a -id 2 -parent 1 -svc gateway -kind client -dur 150ms
  span -trace 0a -id 3 -parent 2 -svc cart -kind server -dur 100ms
  span -trace 0a -id 4 -parent 3 -svc cart -kind client -dur 50ms
  span -trace 0a -id 5 -parent 4 -svc stock -kind server -dur 10ms
  span -trace 0a -id 6 -parent 5 -svc stock -kind internal
}
advance 7s
expect m1.graph == "cart->stock calls=1 errors=0; gateway->cart calls=1 errors=0"
expect m1.edge(gateway->cart) == "rpc calls=1 errors=0 timed=1"
expect m1.stat(traces_service_graph_request_total, client=gateway, server=cart) == 1
expect m1.stat(traces_service_graph_request_total, client=user, server=gateway, connection_type=virtual_node) == 1
expect m1.stat(traces_service_graph_request_server_seconds_sum, client=gateway, server=cart) == 0.1
expect m1.stat(traces_service_graph_request_client_seconds_sum, client=gateway, server=cart) == 0.15
