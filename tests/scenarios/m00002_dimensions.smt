# Configured attribute keys become labels, of spans and of resources.
spanmill m1 {
analysis:
  span_metrics:
    dimensions: [http.method, resource.k8s.namespace.name]
}
sink s1
client c1 -svc cart {
  span -trace 0a -id 1 -kind server -attr http.method=GET -resource k8s.namespace.name=prod
  span -trace 0b -id 1 -kind server -attr http.method=POST -resource k8s.namespace.name=prod
  span -trace 0c -id 1 -kind server -resource k8s.namespace.name=test
}
advance 7s
expect m1.stat(traces_spanmetrics_calls_total, http_method=GET) == 1
expect m1.stat(traces_spanmetrics_calls_total, http_method=POST) == 1
expect m1.stat(traces_spanmetrics_calls_total, k8s_namespace_name=prod) == 2
expect m1.stat(traces_spanmetrics_calls_total) == 3
