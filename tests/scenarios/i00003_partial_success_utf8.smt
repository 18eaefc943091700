# Invalid UTF-8 in a name, a key or a value rejects that span and is never repaired.
spanmill m1 {
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -name "a\xff"
  span -trace 0a -id 2 -attr "k\xc3=v"
  span -trace 0a -id 3 -attr "k=\xed\xa0\x80"
  span -trace 0a -id 4 -name "gr\xc3\xbc\xc3\x9fe"
}
expect c1.accepted == 1
expect c1.rejected == 3
advance 20s
expect m1.stat(spans_rejected_total, reason=invalid_utf8) == 3
expect s1.names(0a) == "grüße"
