# Jaeger's spans meet the others of their trace: kind, status and peer come from tags, the parent from a reference.
spanmill m1 {
}
sink s1
client c1 -as otlp { span -trace 463ac35c9f6413ad48485a3953bb6124 -id 1 -svc gateway -kind client }
client c2 -as jaeger {
  span -trace 463ac35c9f6413ad48485a3953bb6124 -id 2 -parent 1 -svc cart -kind server -error -message (out of stock)
  span -trace 463ac35c9f6413ad48485a3953bb6124 -id 3 -parent 2 -svc cart -kind client -remote mailer
}
expect c2.accepted == 2
advance 7s
expect s1.writes == 1
expect s1.services(463ac35c9f6413ad48485a3953bb6124) == "cart cart gateway"
expect s1.kind(463ac35c9f6413ad48485a3953bb6124, 2) == server
expect s1.status(463ac35c9f6413ad48485a3953bb6124, 2) == error
expect s1.parent(463ac35c9f6413ad48485a3953bb6124, 3) == 0000000000000002
expect m1.graph == "cart->mailer calls=1 errors=0; gateway->cart calls=1 errors=1"
expect m1.balance
