# A batch goes when it is full or has lingered.
spanmill m1 {
windows: {after_root: 1s}
}
sink s1 -batch 10 -linger 3s
client c1 -svc web {
  span -trace 0a -id 1 -repeat 6
  span -trace 0b -id 1 -repeat 6
}
advance 2s
expect s1.batches == 1
expect s1.spans == 6
advance 3s
expect s1.batches == 2
expect s1.spans == 12
expect s1.flushes >= 1
