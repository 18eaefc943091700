/* Strategies in the three forms. The protobuf ones are those of the official Python runtime. */
#include "ingest/strategy.h"

#include <criterion/criterion.h>

static void expect(const char *what, struct sm_strategy *s, struct sm_str wanted)
{
    sm_strategy_end(s);
    cr_expect(sm_str_eq(sm_buf_str(s->out), wanted), "%s: %.*s", what, (int)s->out->size, (char *)s->out->data);
    sm_buf_fini(s->out);
}

Test(strategy, probability)
{
    struct sm_buf out = {0};
    struct sm_strategy s;
    sm_strategy_probability(&s, SM_STRATEGY_JSON, &out, 0.25);
    expect("JSON", &s, SM_STR("{\"strategyType\":\"PROBABILISTIC\",\"probabilisticSampling\":{\"samplingRate\":0.25}}"));
    sm_strategy_probability(&s, SM_STRATEGY_JSON_LEGACY, &out, 0.00001);
    expect("legacy", &s, SM_STR("{\"strategyType\":0,\"probabilisticSampling\":{\"samplingRate\":1e-05}}"));
    sm_strategy_probability(&s, SM_STRATEGY_PROTO, &out, 0.25);
    expect("protobuf", &s, SM_STR("\x12\x09\x09\0\0\0\0\0\0\xd0\x3f"));
    sm_strategy_probability(&s, SM_STRATEGY_PROTO, &out, 0);
    expect("protobuf of zero", &s, SM_STR("\x12\0"));
}

Test(strategy, rate)
{
    struct sm_buf out = {0};
    struct sm_strategy s;
    sm_strategy_rate(&s, SM_STRATEGY_JSON, &out, 500.9);
    expect("JSON", &s, SM_STR("{\"strategyType\":\"RATE_LIMITING\",\"rateLimitingSampling\":{\"maxTracesPerSecond\":500}}"));
    sm_strategy_rate(&s, SM_STRATEGY_JSON_LEGACY, &out, 1e30);
    expect("legacy", &s, SM_STR("{\"strategyType\":1,\"rateLimitingSampling\":{\"maxTracesPerSecond\":32767}}"));
    sm_strategy_rate(&s, SM_STRATEGY_PROTO, &out, 500);
    expect("protobuf", &s, SM_STR("\x08\x01\x1a\x03\x08\xf4\x03"));
    sm_strategy_rate(&s, SM_STRATEGY_PROTO, &out, 0.5);
    expect("protobuf of zero", &s, SM_STR("\x08\x01\x1a\0"));
}

static void put_operations(struct sm_strategy *s, enum sm_strategy_form form, struct sm_buf *out)
{
    sm_strategy_probability(s, form, out, 0.5);
    sm_strategy_operations(s, 0.5, 2);
    sm_strategy_operation(s, SM_STR("GET /"), 0.125);
    sm_strategy_operation(s, SM_STR("\xc3\xa4"), 0);
}

Test(strategy, operations)
{
    struct sm_buf out = {0};
    struct sm_strategy s;
    put_operations(&s, SM_STRATEGY_JSON, &out);
    expect("JSON", &s,
           SM_STR("{\"strategyType\":\"PROBABILISTIC\",\"probabilisticSampling\":{\"samplingRate\":0.5},\"operationSampling\":{"
                  "\"defaultSamplingProbability\":0.5,\"defaultLowerBoundTracesPerSecond\":2,\"perOperationStrategies\":["
                  "{\"operation\":\"GET /\",\"probabilisticSampling\":{\"samplingRate\":0.125}},"
                  "{\"operation\":\"\xc3\xa4\",\"probabilisticSampling\":{\"samplingRate\":0}}],"
                  "\"defaultUpperBoundTracesPerSecond\":0}}"));
    put_operations(&s, SM_STRATEGY_PROTO, &out);
    expect("protobuf", &s,
           SM_STR("\x12\x09\x09\0\0\0\0\0\0\xe0\x3f\x22\x2e\x09\0\0\0\0\0\0\xe0\x3f\x11\0\0\0\0\0\0\0\x40\x1a\x12\x0a\x05GET /\x12\x09\x09"
                  "\0\0\0\0\0\0\xc0\x3f\x1a\x06\x0a\x02\xc3\xa4\x12\0"));
    sm_strategy_probability(&s, SM_STRATEGY_PROTO, &out, 0.5);
    sm_strategy_operations(&s, 0, 0);
    expect("protobuf without any", &s, SM_STR("\x12\x09\x09\0\0\0\0\0\0\xe0\x3f\x22\0"));
    sm_strategy_rate(&s, SM_STRATEGY_JSON, &out, 1);
    sm_strategy_operations(&s, 0.001, 0);
    expect("JSON without any", &s,
           SM_STR("{\"strategyType\":\"RATE_LIMITING\",\"rateLimitingSampling\":{\"maxTracesPerSecond\":1},\"operationSampling\":{"
                  "\"defaultSamplingProbability\":0.001,\"defaultLowerBoundTracesPerSecond\":0,\"perOperationStrategies\":[],"
                  "\"defaultUpperBoundTracesPerSecond\":0}}"));
}
