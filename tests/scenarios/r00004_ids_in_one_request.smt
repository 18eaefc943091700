# Which trace a 64-bit id joins does not depend on whether spans come in one request or apart: by the time of the last one there
# are two that could be meant, though when the request came there was only the short form.
spanmill m1
sink s1
client c1 -as zipkin_v2_json { span -trace 48485a3953bb6124 -id 1 }
client c1 -as zipkin_v2_json {
  span -trace 111111111111111148485a3953bb6124 -id 2 -parent 1
  span -trace 222222222222222248485a3953bb6124 -id 3 -parent 1
  span -trace 48485a3953bb6124 -id 4 -parent 1
}
advance 20s
expect m1.stat(traces_opened_total) == 3
expect m1.stat(trace_ids_joined_total) == 1
expect s1.ids(111111111111111148485a3953bb6124) == "1 2"
expect s1.ids(48485a3953bb6124) == 4
expect m1.balance
