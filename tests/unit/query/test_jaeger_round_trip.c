/* Jaeger in, Jaeger out: what the query API gives is what was sent, in the form in which Jaeger's collector would have stored it. */
#include "query/jaeger_json.h"
#include "tests/support/codec_env.h"
#include "tests/support/jaeger_build.h"

#include <criterion/criterion.h>

static struct codec_env e;
static struct sm_buf out;

static void setup(void)
{
    codec_env_init(&e);
}

static void teardown(void)
{
    sm_buf_fini(&out);
    codec_env_fini(&e);
}

TestSuite(jaeger_round_trip, .init = setup, .fini = teardown);

static const char *trip(const struct jaeger_span *span, bool raw)
{
    static const struct jaeger_tag process[] = {{"hostname", .type = 0, .s = "vm"}, {"service.name", .type = 0, .s = "also"}};
    struct jaeger_batch b = {.service = "svc", .tags = process, .tag_count = 2, .spans = span, .span_count = 1};
    struct sm_buf batch = {0};
    jaeger_build_batch(&batch, &b);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_jaeger_batch, batch.data, batch.size), SM_OK, "%s", e.err.text);
    sm_buf_fini(&batch);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    struct sm_encode_span *spans = codec_env_spans(&e);
    struct sm_source_trace trace = {.id = e.batch.items[0].trace, .spans = spans, .span_count = 1};
    struct sm_jaeger_json *w = sm_jaeger_json_new();
    sm_buf_clear(&out);
    sm_jaeger_json_put(w, &trace, raw, &out);
    sm_buf_putc(&out, '\0');
    sm_jaeger_json_free(w);
    free(spans);
    return (const char *)out.data;
}

Test(jaeger_round_trip, everything)
{
    static const struct jaeger_tag tags[] = {
        {"span.kind", .type = 0, .s = "client"},     {"error", .type = 2, .b = true},
        {"error", .type = 0, .s = "twice"},          {"span.kind", .type = 0, .s = "again"},
        {"otel.status_code", .type = 0, .s = "OK"},  {"http.status_code", .type = 1, .d = 200},
        {"max", .type = 3, .i = INT64_MAX},          {"bytes", .type = 4, .s = "\x01\x02"},
    };
    static const struct jaeger_tag fields[] = {{"n", .type = 3, .i = 1}, {"event", .type = 0, .s = "a"}, {"event", .type = 0, .s = "b"}};
    static const struct jaeger_log logs[] = {{.time_us = 1000001, .fields = fields, .field_count = 3}};
    static const struct jaeger_ref refs[] = {
        {.type = 1, .low = 7, .high = 8, .id = 9}, {.type = 0, .low = 1, .id = 5}, {.type = 0, .low = 1, .id = 6}};
    struct jaeger_span span = {.low = 1, .id = 2, .parent_id = 5, .refs = refs, .ref_count = 3, .flags = 3, .start_us = 1000000,
                               .duration_us = 5, .tags = tags, .tag_count = SM_ARRAY_LEN(tags), .logs = logs, .log_count = 1};
    static const char want[] =
        "{\"traceID\":\"0000000000000001\",\"spans\":[{\"traceID\":\"0000000000000001\",\"spanID\":\"0000000000000002\",\"flags\":3,"
        "\"operationName\":\"op\",\"references\":["
        "{\"refType\":\"FOLLOWS_FROM\",\"traceID\":\"00000000000000080000000000000007\",\"spanID\":\"0000000000000009\"},"
        "{\"refType\":\"CHILD_OF\",\"traceID\":\"0000000000000001\",\"spanID\":\"0000000000000005\"},"
        "{\"refType\":\"CHILD_OF\",\"traceID\":\"0000000000000001\",\"spanID\":\"0000000000000006\"}],"
        "\"startTime\":1000000,\"duration\":5,\"tags\":["
        "{\"key\":\"error\",\"type\":\"bool\",\"value\":true},{\"key\":\"error\",\"type\":\"string\",\"value\":\"twice\"},"
        "{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"again\"},"
        "{\"key\":\"otel.status_code\",\"type\":\"string\",\"value\":\"OK\"},"
        "{\"key\":\"http.status_code\",\"type\":\"float64\",\"value\":200},"
        "{\"key\":\"max\",\"type\":\"int64\",\"value\":\"9223372036854775807\"},"
        "{\"key\":\"bytes\",\"type\":\"binary\",\"value\":\"AQI=\"},"
        "{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"client\"}],"
        "\"logs\":[{\"timestamp\":1000001,\"fields\":[{\"key\":\"event\",\"type\":\"string\",\"value\":\"a\"},"
        "{\"key\":\"n\",\"type\":\"int64\",\"value\":1},{\"key\":\"event\",\"type\":\"string\",\"value\":\"b\"}]}],"
        "\"processID\":\"p1\",\"warnings\":null}],"
        "\"processes\":{\"p1\":{\"serviceName\":\"svc\",\"tags\":[{\"key\":\"hostname\",\"type\":\"string\",\"value\":\"vm\"},"
        "{\"key\":\"service.name\",\"type\":\"string\",\"value\":\"also\"}]}},\"warnings\":null}";
    cr_expect_str_eq(trip(&span, true), want);
    cr_expect_str_eq(trip(&span, false), want, "there is nothing to adjust");
}

#define REF(type, span) "{\"refType\":\"" type "\",\"traceID\":\"0000000000000001\",\"spanID\":\"000000000000000" span "\"}"

Test(jaeger_round_trip, parents)
{
    static const struct {
        uint64_t parent_id;
        struct jaeger_ref refs[2];
        unsigned ref_count;
        const char *raw, *adjusted; /* adjusted NULL: the same */
    } cases[] = {
        {0, {{0}}, 0, "", NULL},
        {5, {{0}}, 0, REF("CHILD_OF", "5"), NULL},
        {5, {{.type = 1, .low = 1, .id = 4}}, 1, REF("CHILD_OF", "5") "," REF("FOLLOWS_FROM", "4"), NULL},
        {5, {{.type = 1, .low = 1, .id = 5}}, 1, REF("FOLLOWS_FROM", "5"), NULL},
        {0, {{.type = 1, .low = 1, .id = 4}, {.type = 0, .low = 1, .id = 5}}, 2,
         REF("FOLLOWS_FROM", "4") "," REF("CHILD_OF", "5"), NULL},
        {2, {{0}}, 0, REF("CHILD_OF", "2"), ""},
        {0, {{.type = 0, .low = 1, .id = 2}}, 1, REF("CHILD_OF", "2"), ""},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct jaeger_span span = {.low = 1, .id = 2, .parent_id = cases[i].parent_id, .refs = cases[i].refs,
                                   .ref_count = cases[i].ref_count};
        for (unsigned raw = 0; raw < 2; raw++) {
            char want[512];
            const char *refs = raw || !cases[i].adjusted ? cases[i].raw : cases[i].adjusted;
            snprintf(want, sizeof want, "\"references\":[%s],", refs);
            const char *got = trip(&span, raw);
            cr_expect(strstr(got, want), "case %zu: %s", i, got);
        }
    }
}

Test(jaeger_round_trip, a_duration_without_a_start)
{
    struct jaeger_span span = {.low = 1, .id = 2, .duration_us = 9};
    cr_expect(strstr(trip(&span, true), "\"startTime\":0,\"duration\":9,"), "%s", (const char *)out.data);
}
