# The same call in two minutes: two buckets, sums over both.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc a -kind client
  span -trace 0a -id 2 -parent 1 -svc b -kind server
}
advance 90s
client c1 {
  span -trace 0b -id 1 -svc a -kind client
  span -trace 0b -id 2 -parent 1 -svc b -kind server -error
}
advance 7s
expect m1.graph(0s, 60s) == "a->b calls=1 errors=0"
expect m1.graph(60s, 120s) == "a->b calls=1 errors=1"
expect m1.graph == "a->b calls=2 errors=1"
