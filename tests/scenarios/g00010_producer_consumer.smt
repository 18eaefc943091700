# Messages: both sides name the broker in the dependency graph, the service graph pairs them.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc shop -kind producer -attr messaging.system=kafka -attr messaging.destination.name=orders
  span -trace 0a -id 2 -parent 1 -svc billing -kind consumer -attr messaging.system=kafka -attr messaging.destination.name=orders
}
advance 7s
expect m1.graph == "kafka/orders->billing calls=1 errors=0; shop->kafka/orders calls=1 errors=0"
expect m1.edge(shop->kafka/orders) ~ messaging
expect m1.stat(traces_service_graph_request_total, client=shop, server=billing, connection_type=messaging_system) == 1
