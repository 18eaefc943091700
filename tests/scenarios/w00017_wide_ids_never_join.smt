# Two 128-bit ids with one low half are two traces, and a 64-bit id then joins neither.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 11111111111111110000000000000abc -id 1 -svc a -kind server
  span -trace 22222222222222220000000000000abc -id 1 -svc b -kind server
}
client c2 -as zipkin_v2_json { span -trace 0000000000000abc -id 3 -svc c -kind server }
advance 20s
expect m1.stat(traces_opened_total) == 3
expect m1.stat(trace_ids_joined_total) == 0
expect s1.services(11111111111111110000000000000abc) == a
expect s1.services(22222222222222220000000000000abc) == b
expect s1.services(0abc) == c
