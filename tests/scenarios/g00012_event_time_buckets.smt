# Calls count in the minute of their start, not of their arrival; a clock that is off by more than a day is not believed.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc a -kind client -start -3h
  span -trace 0a -id 2 -parent 1 -svc b -kind server -start -3h
  span -trace 0b -id 1 -svc a -kind client -start 1s
  span -trace 0b -id 2 -parent 1 -svc b -kind server -start 1s
  span -trace 0c -id 1 -svc a -kind client -start -48h
  span -trace 0c -id 2 -parent 1 -svc b -kind server -start -48h
}
advance 7s
expect m1.graph(-181m, -179m) == "a->b calls=1 errors=0"
expect m1.graph(-49h, -47h) == ""
expect m1.graph(0s, 60s) == "a->b calls=2 errors=0"
expect m1.stat(graph_times_corrected_total) >= 1
expect m1.graph == "a->b calls=3 errors=0"
