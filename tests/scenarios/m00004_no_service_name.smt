# Spans of a resource without service.name have a name of their own in metrics and no edge.
spanmill m1 {
}
sink s1
client c1 { span -trace 0a -id 1 -kind server }
advance 7s
expect m1.stat(traces_spanmetrics_calls_total, service=unknown_service) == 1
expect m1.graph == ""
expect s1.services(0a) == ""
