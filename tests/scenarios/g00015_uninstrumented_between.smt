# A client span below another service's: the service between sent no server span, the call is counted all the same.
spanmill m1 {
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc gateway -kind server
  span -trace 0a -id 2 -parent 1 -svc cart -kind client -attr peer.service=stock
}
advance 7s
expect m1.graph == "cart->stock calls=1 errors=0; gateway->cart calls=1 errors=0"
