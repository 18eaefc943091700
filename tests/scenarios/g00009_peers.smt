# Sides that sent no spans: a database, a named peer, a peer named by Zipkin's remote endpoint.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc shop -kind server
  span -trace 0a -id 2 -parent 1 -svc shop -kind client -attr db.system=postgresql -attr db.name=orders -attr server.address=pg-1
  span -trace 0a -id 3 -parent 1 -svc shop -kind client -attr peer.service=billing
}
client c2 -as zipkin_v2_json { span -trace 0a -id 4 -parent 1 -svc shop -kind client -remote mailer }
advance 7s
expect m1.edge(shop->pg-1) ~ database
expect m1.edge(shop->billing) ~ peer
expect m1.edge(shop->mailer) ~ peer
expect m1.stat(traces_service_graph_request_total, client=shop, connection_type=database) == 1
expect m1.stat(traces_service_graph_request_total, client=shop, connection_type=virtual_node) == 2
