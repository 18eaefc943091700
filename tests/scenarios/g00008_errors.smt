# An error on either side is the call's: the client's counts for its server by Zipkin's rule.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc a -kind client -error
  span -trace 0a -id 2 -parent 1 -svc b -kind server
  span -trace 0b -id 1 -svc a -kind client
  span -trace 0b -id 2 -parent 1 -svc b -kind server -error
  span -trace 0c -id 1 -svc a -kind client
  span -trace 0c -id 2 -parent 1 -svc b -kind server
}
advance 7s
expect m1.graph == "a->b calls=3 errors=2"
expect m1.stat(traces_service_graph_request_failed_total, client=a, server=b) == 2
