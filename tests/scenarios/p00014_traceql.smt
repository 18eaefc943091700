# Operators of TraceQL, each as a shadow rule over the same four traces.
spanmill m1 {
rules:
  - {name: all, when: '{}', keep: true, shadow: true}
  - {name: and, when: '{ status = error && resource.service.name = "cart" }', keep: true, shadow: true}
  - {name: or, when: '{ status = error || duration > 1s }', keep: true, shadow: true}
  - {name: not, when: '{ !(kind = server) }', keep: true, shadow: true}
  - {name: number, when: '{ span.http.status_code >= 500 }', keep: true, shadow: true}
  - {name: text_is_no_number, when: '{ span.code >= 500 }', keep: true, shadow: true}
  - {name: regex, when: '{ name =~ "GET /.*" }', keep: true, shadow: true}
  - {name: whole_regex, when: '{ name =~ "GET" }', keep: true, shadow: true}
  - {name: not_regex, when: '{ name !~ "GET .*" }', keep: true, shadow: true}
  - {name: missing, when: '{ span.http.status_code != 503 }', keep: true, shadow: true}
  - {name: nil, when: '{ span.http.status_code = nil }', keep: true, shadow: true}
  - {name: trace_duration, when: '{ traceDuration >= 2s }', keep: true, shadow: true}
  - {name: root_name, when: '{ rootName = "POST /pay" && kind = client }', keep: true, shadow: true}
  - {name: root_service, when: '{ rootServiceName = "web" }', keep: true, shadow: true}
  - {name: same_span, when: '{ kind = client && status = error }', keep: true, shadow: true}
  - {name: unscoped, when: '{ .region = "eu" }', keep: true, shadow: true}
  - {name: left_to_right, when: '{ kind = server || kind = client && status = error }', keep: true, shadow: true}
}
sink s1
client c1 {
  span -trace 0a -id 1 -svc web -name "GET /cart" -kind server -dur 100ms -int http.status_code=503
  span -trace 0a -id 2 -parent 1 -svc cart -name load -kind server -dur 50ms -error
  span -trace 0b -id 1 -svc web -name "POST /pay" -kind server -dur 2s -attr code=503
  span -trace 0b -id 2 -parent 1 -svc web -name call -kind client -dur 10ms
  span -trace 0c -id 1 -svc web -name "GET /" -kind server -dur 5ms -resource region=eu
  span -trace 0d -id 1 -svc batch -name job -dur 5ms -attr region=eu
}
advance 7s
expect m1.rule(all) == "matched=4 keep=4 drop=0 limit=0"
expect m1.rule(and) ~ "matched=1 "
expect m1.rule(or) ~ "matched=2 "
expect m1.rule(not) ~ "matched=2 "
expect m1.rule(number) ~ "matched=1 "
expect m1.rule(text_is_no_number) ~ "matched=0 "
expect m1.rule(regex) ~ "matched=2 "
expect m1.rule(whole_regex) ~ "matched=0 "
expect m1.rule(not_regex) ~ "matched=3 "
expect m1.rule(missing) ~ "matched=0 "
expect m1.rule(nil) ~ "matched=4 "
expect m1.rule(trace_duration) ~ "matched=1 "
expect m1.rule(root_name) ~ "matched=1 "
expect m1.rule(root_service) ~ "matched=3 "
expect m1.rule(same_span) ~ "matched=0 "
expect m1.rule(unscoped) ~ "matched=2 "
expect m1.rule(left_to_right) ~ "matched=1 "
expect m1.rule(default) == "matched=4 keep=4 drop=0 limit=0"
