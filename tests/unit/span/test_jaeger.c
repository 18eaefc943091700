/* Jaeger thrift and protobuf: what becomes of each field, what is refused. That all of it comes back as Jaeger's JSON is tested with
 * the writer of that JSON (tests/unit/query/test_jaeger.c) and with captured payloads (tests/corpus). */
#include "tests/support/codec_env.h"
#include "tests/support/jaeger_build.h"

#include "span/private.h"

#include <criterion/criterion.h>

static struct codec_env e;

static void setup(void)
{
    codec_env_init(&e);
}

static void teardown(void)
{
    codec_env_fini(&e);
}

TestSuite(jaeger, .init = setup, .fini = teardown);

static enum sm_rc decode_hex(const struct sm_codec *codec, const char *hex)
{
    uint8_t bytes[1024];
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++)
        sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    return codec_env_decode(&e, codec, bytes, n);
}

static enum sm_rc decode_batch(struct jaeger_batch b)
{
    struct sm_buf out = {0};
    jaeger_build_batch(&out, &b);
    enum sm_rc rc = codec_env_decode(&e, &sm_codec_jaeger_batch, out.data, out.size);
    sm_buf_fini(&out);
    return rc;
}

/* One span of service "svc". */
static const struct sm_span *decode_span(struct jaeger_span s)
{
    cr_assert_eq(decode_batch((struct jaeger_batch){.service = "svc", .spans = &s, .span_count = 1}), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    return codec_env_span(&e, 0);
}

static struct sm_private private_of(uint32_t i)
{
    struct sm_private priv;
    cr_assert(sm_private_find(sm_batch_bytes(&e.batch, i), codec_env_span(&e, i)->size, &priv));
    return priv;
}

static unsigned count_fields(uint32_t number)
{
    const uint8_t *p = sm_batch_bytes(&e.batch, 0), *end = p + codec_env_span(&e, 0)->size;
    struct sm_pb_field f;
    unsigned n = 0;
    while (sm_pb_next(&p, end, &f))
        n += f.number == number;
    return n;
}

#define VECTOR_BODY                                                                                                    \
    "0c00010b000100000003737663000f00020c000000010a000100000000000000010a000200000000000000000a000300000000000000020a00040000" \
    "00000000" "00000b0005000000026f70080007000000010a000800000000000f42400a0009000000000000000500"

/* Made with the official Python runtime. */
static const struct {
    const struct sm_codec *codec;
    const char *hex;
} vectors[] = {
    {&sm_codec_jaeger_compact, "82810009656d697442617463681c1c180373766300191c160216001604160018026f7025021680897a160a000000"},
    {&sm_codec_jaeger_binary, "8001000400000009656d69744261746368000000000c0001" VECTOR_BODY "00" "00"},
    {&sm_codec_jaeger_binary, "00000009656d697442617463680100000000" "0c0001" VECTOR_BODY "00" "00"},
    {&sm_codec_jaeger_batch, VECTOR_BODY "00"},
};

Test(jaeger, vectors_of_the_official_runtime)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(vectors); i++) {
        cr_assert_eq(decode_hex(vectors[i].codec, vectors[i].hex), SM_OK, "%zu: %s", i, e.err.text);
        cr_assert_eq(e.batch.count, 1);
        const struct sm_span *s = codec_env_span(&e, 0);
        cr_expect(sm_trace_id_eq(e.batch.items[0].trace, (struct sm_trace_id){0, 1}));
        cr_expect_eq(s->span_id, 2);
        cr_expect_eq(s->parent_id, 0);
        cr_expect_eq(s->start_ns, 1000000000);
        cr_expect_eq(s->duration_ns, 5000);
        cr_expect_eq(s->flags, SM_SPAN_ID64 | SM_SPAN_PRIVATE);
        cr_expect(sm_str_eq(codec_env_name(&e, 0), SM_STR("op")));
        cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
        cr_expect_eq(private_of(0).jaeger_flags, 1);
        cr_expect_eq(private_of(0).origin, SM_ORIGIN_JAEGER);
    }
}

Test(jaeger, every_prefix_is_refused)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(vectors); i++) {
        char hex[512];
        snprintf(hex, sizeof hex, "%s", vectors[i].hex);
        for (size_t n = strlen(hex); n >= 2; n -= 2) {
            hex[n - 2] = '\0';
            cr_expect_neq(decode_hex(vectors[i].codec, hex), SM_OK, "vector %zu, %zu bytes", i, n / 2 - 1);
            cr_expect_eq(e.batch.count, 0);
        }
    }
}

Test(jaeger, only_calls_of_emit_batch)
{
    static const char *const replies[] = {
        "82410009656d697442617463681c1c180373766300191c160216001604160018026f7025021680897a160a000000", /* REPLY */
        "82210009656d69744261746368", "8001000200000009656d69744261746368000000000c0001" VECTOR_BODY "0000",
    };
    cr_expect_eq(decode_hex(&sm_codec_jaeger_compact, replies[0]), SM_E_INVALID);
    cr_expect_eq(decode_hex(&sm_codec_jaeger_compact, replies[1]), SM_E_TRUNCATED);
    cr_expect_eq(decode_hex(&sm_codec_jaeger_binary, replies[2]), SM_E_INVALID);
    cr_expect_eq(decode_hex(&sm_codec_jaeger_compact, "8281000a656d69744261746368658c00"), SM_E_UNSUPPORTED);
    cr_expect_str_eq(e.err.text, "no such method: emitBatche");
}

Test(jaeger, kind_is_the_first_good_span_kind)
{
    static const struct jaeger_tag tags[] = {
        {"span.kind", .type = 0, .s = "Server"}, {"span.kind", .type = 0, .s = "client"}, {"span.kind", .type = 0, .s = "server"}};
    const struct sm_span *s = decode_span((struct jaeger_span){.low = 1, .id = 2, .tags = tags, .tag_count = 3});
    cr_expect_eq(sm_span_kind(s), SM_KIND_CLIENT);
    cr_expect_eq(count_fields(SM_OTLP_ATTRIBUTES), 2, "the others stay tags");
}

Test(jaeger, status)
{
    static const struct {
        struct jaeger_tag tags[3];
        enum sm_status status;
        const char *message;
    } cases[] = {
        {{{"error", .type = 2, .b = true}}, SM_STATUS_ERROR, ""},
        {{{"error", .type = 0, .s = "true"}}, SM_STATUS_ERROR, ""},
        {{{"error", .type = 0, .s = "boom"}}, SM_STATUS_ERROR, "boom"},
        {{{"error", .type = 2, .b = false}}, SM_STATUS_UNSET, ""},
        {{{"error", .type = 0, .s = "false"}}, SM_STATUS_UNSET, ""},
        {{{"error", .type = 2, .b = true}, {"otel.status_description", .type = 0, .s = "why"}}, SM_STATUS_ERROR, "why"},
        {{{"error", .type = 2, .b = true}, {"http.status_message", .type = 0, .s = "Bad"}}, SM_STATUS_ERROR, "Bad"},
        {{{"otel.status_code", .type = 0, .s = "OK"}}, SM_STATUS_OK, ""},
        {{{"otel.status_code", .type = 0, .s = "ERROR"}, {"otel.status_description", .type = 0, .s = "x"}}, SM_STATUS_ERROR, "x"},
        {{{"otel.status_code", .type = 0, .s = "OK"}, {"http.status_code", .type = 3, .i = 500}}, SM_STATUS_OK, ""},
        {{{"http.status_code", .type = 3, .i = 500}}, SM_STATUS_ERROR, ""},
        {{{"http.status_code", .type = 0, .s = "503"}}, SM_STATUS_ERROR, ""},
        {{{"http.status_code", .type = 1, .d = 502}}, SM_STATUS_ERROR, ""},
        {{{"http.status_code", .type = 3, .i = 404}}, SM_STATUS_UNSET, ""},
        {{{"http.status_code", .type = 3, .i = 404}, {"span.kind", .type = 0, .s = "client"}}, SM_STATUS_ERROR, ""},
        {{{"http.status_code", .type = 3, .i = 404}, {"span.kind", .type = 0, .s = "server"}}, SM_STATUS_UNSET, ""},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        size_t n = 1 + (cases[i].tags[1].key != NULL);
        const struct sm_span *s = decode_span((struct jaeger_span){.low = 1, .id = 2, .tags = cases[i].tags, .tag_count = n});
        cr_expect_eq(sm_span_status(s), cases[i].status, "case %zu", i);
        cr_expect_eq(!!(s->flags & SM_SPAN_ERROR), cases[i].status == SM_STATUS_ERROR, "case %zu", i);
        cr_expect_eq(!!(private_of(0).flags & SM_PRIVATE_STATUS_DERIVED), cases[i].status != SM_STATUS_UNSET, "case %zu", i);
        const char *encoded = codec_env_encode(&e, &sm_codec_otlp_json);
        char want[64];
        snprintf(want, sizeof want, "\"message\":\"%s\"", cases[i].message);
        cr_expect_eq(strstr(encoded, "\"message\"") != NULL, cases[i].message[0] != '\0', "case %zu: %s", i, encoded);
        if (cases[i].message[0])
            cr_expect(strstr(encoded, want), "case %zu: %s", i, encoded);
    }
}

Test(jaeger, tags_of_every_type_in_their_order_with_duplicates)
{
    static const struct jaeger_tag tags[] = {
        {"s", .type = 0, .s = "text"}, {"d", .type = 1, .d = 1.5}, {"b", .type = 2, .b = true}, {"i", .type = 3, .i = -42},
        {"x", .type = 4, .s = "\x01\x02"}, {"s", .type = 0, .s = "again"}, {"u", .type = 9}};
    decode_span((struct jaeger_span){.low = 1, .id = 2, .tags = tags, .tag_count = SM_ARRAY_LEN(tags)});
    cr_expect(codec_env_attribute(&e, 0, "s", "text"));
    cr_expect(codec_env_attribute(&e, 0, "d", "1.5"));
    cr_expect(codec_env_attribute(&e, 0, "b", "true"));
    cr_expect(codec_env_attribute(&e, 0, "i", "-42"));
    cr_expect(codec_env_attribute(&e, 0, "x", "AQI="));
    cr_expect(codec_env_attribute(&e, 0, "u", "unknown type"));
    cr_expect_eq(count_fields(SM_OTLP_ATTRIBUTES), SM_ARRAY_LEN(tags));
    struct sm_buf plain = {0};
    sm_private_plain(sm_str(sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size), &plain);
    cr_expect_null(memmem(plain.data, plain.size, "again", 5), "keys are unique for other receivers");
    sm_buf_fini(&plain);
}

Test(jaeger, wanted_tags_have_records)
{
    static const struct jaeger_tag tags[] = {{"peer.service", .type = 0, .s = "stock"}, {"sampling.priority", .type = 3, .i = 1}};
    const struct sm_span *s = decode_span((struct jaeger_span){.low = 1, .id = 2, .tags = tags, .tag_count = 2});
    struct sm_value v;
    cr_assert(sm_span_value(s, sm_batch_bytes(&e.batch, 0), SM_SLOT_PEER_SERVICE, &v));
    cr_expect(sm_str_eq(v.bytes, SM_STR("stock")));
    cr_expect(s->flags & SM_SPAN_PRIORITY);
}

Test(jaeger, process_becomes_the_resource)
{
    static const struct jaeger_tag tags[] = {{"hostname", .type = 0, .s = "vm"}, {"pid", .type = 3, .i = 7}};
    struct jaeger_span s = {.low = 1, .id = 2};
    struct jaeger_batch b = {.service = "svc", .tags = tags, .tag_count = 2, .spans = &s, .span_count = 1};
    for (unsigned last = 0; last < 2; last++) { /* the process may stand behind the spans */
        b.process_last = last;
        cr_assert_eq(decode_batch(b), SM_OK, "%s", e.err.text);
        cr_assert_eq(e.batch.count, 1);
        struct sm_str resource = codec_env_resource(&e, 0)->bytes;
        struct sm_value v;
        cr_expect(sm_attr_find(resource.ptr, resource.len, 1, SM_STR("hostname"), &v) && sm_str_eq(v.bytes, SM_STR("vm")));
        cr_expect(sm_attr_find(resource.ptr, resource.len, 1, SM_STR("pid"), &v) && v.i == 7);
        cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
    }
}

#define SAME   .low = 1, .high = 9
#define OTHER  .low = 7, .high = 9

Test(jaeger, parents)
{
    static const struct {
        uint64_t parent_id;
        struct jaeger_ref refs[3];
        unsigned ref_count;
        uint64_t expected;
        uint32_t reference;
        unsigned links;
        bool follows;
    } cases[] = {
        {5, {{0}}, 0, 5, 0, 0, false},
        {0, {{.type = 0, SAME, .id = 5}}, 1, 5, 1, 0, false},
        {5, {{.type = 1, OTHER, .id = 4}, {.type = 0, SAME, .id = 5}}, 2, 5, 2, 1, false},
        {5, {{.type = 1, OTHER, .id = 5}, {.type = 0, OTHER, .id = 5}}, 2, 5, 0, 2, false},
        {0, {{.type = 1, SAME, .id = 5}}, 1, 0, 0, 1, false},
        {5, {{.type = 1, SAME, .id = 5}}, 1, 5, 1, 0, true},
        {5, {{.type = 1, SAME, .id = 5}, {.type = 0, SAME, .id = 5}}, 2, 5, 2, 1, false},
        {0, {{.type = 0, SAME, .id = 5}, {.type = 0, SAME, .id = 6}, {.type = 0, OTHER, .id = 6}}, 3, 5, 1, 2, false},
        {2, {{0}}, 0, 0, 0, 1, false},                        /* itself: no parent, but it said so */
        {0, {{.type = 0, SAME, .id = 2}}, 1, 0, 0, 1, false}, /* the same by reference */
        {2, {{.type = 0, SAME, .id = 2}}, 1, 0, 0, 1, false},
        {2, {{.type = 0, SAME, .id = 2}, {.type = 0, SAME, .id = 5}}, 2, 5, 2, 1, false},
        {2, {{.type = 0, SAME, .id = 5}}, 1, 5, 2, 1, false}, /* both: its own id comes first */
        {2, {{.type = 1, SAME, .id = 5}}, 1, 0, 0, 2, false},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        const struct sm_span *s = decode_span((struct jaeger_span){
            SAME, .id = 2, .parent_id = cases[i].parent_id, .refs = cases[i].refs, .ref_count = cases[i].ref_count});
        struct sm_private priv = private_of(0);
        cr_expect_eq(s->parent_id, cases[i].expected, "case %zu", i);
        cr_expect_eq(priv.parent_reference, cases[i].reference, "case %zu", i);
        cr_expect_eq(!!(priv.flags & SM_PRIVATE_PARENT_FOLLOWS), cases[i].follows, "case %zu", i);
        cr_expect_eq(count_fields(SM_OTLP_LINKS), cases[i].links, "case %zu", i);
        cr_expect_eq(!!(s->flags & SM_SPAN_LINKS), cases[i].links > 0, "case %zu", i);
    }
}

Test(jaeger, logs_become_events)
{
    static const struct jaeger_tag fields[] = {
        {"event", .type = 0, .s = ""}, {"event", .type = 0, .s = "first"}, {"event", .type = 0, .s = "second"}, {"n", .type = 3, .i = 1}};
    static const struct jaeger_log logs[] = {{.time_us = 7, .fields = fields, .field_count = 4}, {.time_us = 8}};
    const struct sm_span *s = decode_span((struct jaeger_span){.low = 1, .id = 2, .logs = logs, .log_count = 2});
    cr_expect(s->flags & SM_SPAN_EVENTS);
    const char *encoded = codec_env_encode(&e, &sm_codec_otlp_json);
    cr_expect(strstr(encoded, "\"name\":\"first\""), "%s", encoded);
    cr_expect(strstr(encoded, "\"timeUnixNano\":\"7000\""), "%s", encoded);
    cr_expect(strstr(encoded, "{\"key\":\"event\",\"value\":{\"stringValue\":\"second\"}}"), "%s", encoded);
    cr_expect_eq(count_fields(SM_OTLP_EVENTS), 2);
}

Test(jaeger, flags_and_times)
{
    const struct sm_span *s = decode_span((struct jaeger_span){.low = 1, .high = 3, .id = 2, .flags = 3, .start_us = 0, .duration_us = 9});
    cr_expect(s->flags & SM_SPAN_DEBUG);
    cr_expect_not(s->flags & SM_SPAN_ID64);
    cr_expect(s->flags & SM_SPAN_NO_START);
    cr_expect_eq(private_of(0).duration_ns, 9000);
    cr_expect_eq(private_of(0).jaeger_flags, 3);
    s = decode_span((struct jaeger_span){.low = 1, .id = 2, .start_us = 5, .duration_us = -1});
    cr_expect_eq(s->duration_ns, 0, "clocks that jump");
}

Test(jaeger, spans_that_cannot_be_are_refused_alone)
{
    static const struct {
        struct jaeger_span span;
        enum sm_reject reason;
    } cases[] = {
        {{.id = 2}, SM_REJECT_TRACE_ID},
        {{.low = 1}, SM_REJECT_SPAN_ID},
        {{.low = 1, .id = 2, .start_us = -1}, SM_REJECT_TIME},
        {{.low = 1, .id = 2, .start_us = INT64_MAX}, SM_REJECT_TIME},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct jaeger_span spans[] = {cases[i].span, {.low = 1, .id = 3, .name = "good"}};
        cr_assert_eq(decode_batch((struct jaeger_batch){.service = "svc", .spans = spans, .span_count = 2}), SM_OK);
        cr_expect_eq(e.batch.count, 1);
        cr_expect_eq(e.batch.rejected[cases[i].reason], 1, "case %zu", i);
        cr_expect(sm_str_eq(codec_env_name(&e, 0), SM_STR("good")));
    }
}

Test(jaeger, limits)
{
    static struct jaeger_tag tags[40];
    for (size_t i = 0; i < SM_ARRAY_LEN(tags); i++)
        tags[i] = (struct jaeger_tag){"k", .type = 0, .s = "v"};
    struct jaeger_span s = {.low = 1, .id = 2, .tags = tags, .tag_count = 40};
    struct jaeger_batch b = {.service = "svc", .spans = &s, .span_count = 1};
    e.d.limits.attributes_max = 39;
    cr_assert_eq(decode_batch(b), SM_OK);
    cr_expect_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 1);
    b.tags = tags;
    b.tag_count = 40;
    s.tag_count = 0;
    cr_assert_eq(decode_batch(b), SM_OK);
    cr_expect_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 1, "of the process");
    char long_text[400];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    tags[0].s = long_text;
    b.tag_count = 0;
    s.tag_count = 1;
    e.d.limits.value_bytes_max = 128;
    cr_assert_eq(decode_batch(b), SM_OK);
    cr_expect_eq(e.batch.rejected[SM_REJECT_VALUE_SIZE], 1);
    e.d.limits.spans_max = 1;
    struct jaeger_span two[] = {{.low = 1, .id = 2}, {.low = 1, .id = 3}};
    cr_expect_eq(decode_batch((struct jaeger_batch){.service = "svc", .spans = two, .span_count = 2}), SM_E_LIMIT);
}

Test(jaeger, text_that_is_not_utf8_is_repaired)
{
    static const struct jaeger_tag tags[] = {{"k\xff", .type = 0, .s = "a\xc3(\xe2\x82\xac"}};
    decode_span((struct jaeger_span){.low = 1, .id = 2, .name = "\x80op", .tags = tags, .tag_count = 1});
    cr_expect(sm_str_eq(codec_env_name(&e, 0), SM_STR("\xef\xbf\xbdop")));
    cr_expect(codec_env_attribute(&e, 0, "k\xef\xbf\xbd", "a\xef\xbf\xbd(\xe2\x82\xac"));
}

/* ---- protobuf ---- */

static uint8_t *put_process(uint8_t *p, uint32_t field, const char *service)
{
    uint8_t process[64];
    return sm_pb_put_bytes(p, field, process, (size_t)(sm_pb_put_bytes(process, 1, service, strlen(service)) - process));
}

static uint8_t *put_proto_span(uint8_t *p, uint8_t id, size_t trace_size, const char *own_service)
{
    static const uint8_t trace[17] = {[15] = 1};
    uint8_t span[256], *q = span, id_bytes[8] = {[7] = id}, time[16];
    q = sm_pb_put_bytes(q, 1, trace, trace_size);
    q = sm_pb_put_bytes(q, 2, id_bytes, 8);
    q = sm_pb_put_bytes(q, 3, "op", 2);
    q = sm_pb_put_bytes(q, 6, time, (size_t)(sm_pb_put_uint(sm_pb_put_uint(time, 1, 2), 2, 3) - time));
    q = sm_pb_put_bytes(q, 7, time, (size_t)(sm_pb_put_uint(time, 2, 11) - time));
    if (own_service)
        q = put_process(q, 10, own_service);
    return sm_pb_put_bytes(p, 1, span, (size_t)(q - span));
}

static enum sm_rc decode_request(const uint8_t *batch, const uint8_t *end)
{
    uint8_t request[2048];
    size_t n = (size_t)(sm_pb_put_bytes(request, 1, batch, (size_t)(end - batch)) - request);
    return codec_env_decode(&e, &sm_codec_jaeger_proto, request, n);
}

Test(jaeger, a_span_of_a_request_may_have_its_own_process)
{
    uint8_t batch[1024], *p = batch;
    p = put_proto_span(p, 1, 16, NULL);
    p = put_proto_span(p, 2, 16, "own");
    p = put_proto_span(p, 3, 16, "own");
    p = put_proto_span(p, 4, 16, NULL);
    p = put_process(p, 2, "batch");
    cr_assert_eq(decode_request(batch, p), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 4);
    static const char *const services[] = {"batch", "own", "own", "batch"};
    for (uint32_t i = 0; i < 4; i++)
        cr_expect(sm_str_eq(codec_env_service(&e, i), sm_str_c(services[i])), "span %u", i);
    cr_expect_eq(codec_env_span(&e, 0)->start_ns, 2000000003);
    cr_expect_eq(codec_env_span(&e, 0)->duration_ns, 11);
}

static uint8_t *put_proto_reference(uint8_t *p, uint8_t trace, uint8_t id, bool follows)
{
    uint8_t ref[64], trace_id[16] = {[15] = trace}, span_id[8] = {[7] = id}, *q = ref;
    q = sm_pb_put_bytes(q, 1, trace_id, 16);
    q = sm_pb_put_bytes(q, 2, span_id, 8);
    if (follows)
        q = sm_pb_put_uint(q, 3, 1);
    return sm_pb_put_bytes(p, 4, ref, (size_t)(q - ref));
}

/* The last of them names the parent; other fields stand between them. */
Test(jaeger, any_number_of_references_in_a_request)
{
    for (unsigned n = 1; n <= 9; n++) {
        uint8_t span[1024], batch[1200], trace_id[16] = {[15] = 1}, id[8] = {[7] = 2}, *p = span;
        for (unsigned i = 1; i < n; i++) {
            p = put_proto_reference(p, 7, (uint8_t)(10 + i), i % 2);
            p = sm_pb_put_bytes(p, 3, "name", 4);
        }
        p = put_proto_reference(p, 1, 5, false);
        p = sm_pb_put_bytes(p, 1, trace_id, 16); /* ids may follow what refers to them */
        p = sm_pb_put_bytes(p, 2, id, 8);
        cr_assert_eq(decode_request(batch, sm_pb_put_bytes(batch, 1, span, (size_t)(p - span))), SM_OK, "%s", e.err.text);
        cr_assert_eq(e.batch.count, 1);
        cr_expect_eq(codec_env_span(&e, 0)->parent_id, 5, "%u references", n);
        cr_expect_eq(private_of(0).parent_reference, n, "%u references", n);
        cr_expect_eq(count_fields(SM_OTLP_LINKS), n - 1, "%u references", n);
    }
}

Test(jaeger, nanoseconds_are_a_number_of_32_bits)
{
    uint8_t span[64], batch[128], time[16], id[16] = {[15] = 1}, *p = span;
    p = sm_pb_put_bytes(p, 1, id, 16);
    p = sm_pb_put_bytes(p, 2, id + 8, 8);
    p = sm_pb_put_bytes(p, 6, time, (size_t)(sm_pb_put_uint(sm_pb_put_uint(time, 1, 2), 2, UINT32_MAX) - time));
    cr_assert_eq(decode_request(batch, sm_pb_put_bytes(batch, 1, span, (size_t)(p - span))), SM_OK);
    cr_expect_eq(codec_env_span(&e, 0)->start_ns, 1999999999, "%lu", codec_env_span(&e, 0)->start_ns);
}

Test(jaeger, requests_that_are_empty_or_wrong)
{
    cr_expect_eq(codec_env_decode(&e, &sm_codec_jaeger_proto, "", 0), SM_OK);
    cr_expect_eq(codec_env_decode(&e, &sm_codec_jaeger_proto, "\x0a\x05", 2), SM_E_INVALID);
    cr_expect_eq(codec_env_decode(&e, &sm_codec_jaeger_proto, "\x08\x05", 2), SM_E_INVALID);
    uint8_t batch[256], *p = put_proto_span(batch, 1, 15, NULL);
    cr_assert_eq(decode_request(batch, p), SM_OK);
    cr_expect_eq(e.batch.rejected[SM_REJECT_TRACE_ID], 1, "an id of 15 bytes");
}
