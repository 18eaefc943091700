# Producer and consumer in traces of their own, joined by a link: each names its broker.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc shop -kind producer -attr messaging.system=kafka -attr messaging.destination.name=orders
  span -trace 0b -id 2 -svc billing -kind consumer -link 0a:1 -attr messaging.system=kafka -attr messaging.destination.name=orders
}
advance 7s
expect m1.graph == "kafka/orders->billing calls=1 errors=0; shop->kafka/orders calls=1 errors=0"
