# Nesting beyond the limit is refused, not followed.
spanmill m1 {
}
sink s1
client c1 -as otlp_json -raw '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","name":"x","attributes":[{"key":"a","value":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}]}]}]}]}'
expect c1.result == invalid
client c2 -svc web { span -trace 0a -id 1 }
advance 7s
expect s1.spans == 1
