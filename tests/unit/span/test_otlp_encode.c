/* OTLP protobuf encoder: what it writes, the decoder reads. */
#include "tests/support/codec_env.h"

#include "span/codec/otlp_encode.h"

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

TestSuite(otlp_encode, .init = setup, .fini = teardown);

enum { SPANS = 9 };

static const char span_bytes[SPANS][30] = {
#define SPAN(id) "\x0a\x10xxxxxxxxxxxxxxxx\x12\x08yyyyyyy" id
    SPAN("1"), SPAN("2"), SPAN("3"), SPAN("4"), SPAN("5"), SPAN("6"), SPAN("7"), SPAN("8"), SPAN("9"),
};

static void fill(struct sm_encode_span *spans)
{
    for (unsigned i = 0; i < SPANS; i++) {
        spans[i] = (struct sm_encode_span){.bytes = sm_str(span_bytes[i], 28)};
        spans[i].resource = i < 4 ? SM_STR("\x0a\x05\x0a\x01" "a\x12\x00") : i < 8 ? SM_STR("\x0a\x05\x0a\x01" "b\x12\x00") : SM_STR("");
        spans[i].resource_schema_url = i == 6 ? SM_STR("https://r") : SM_STR("");
        spans[i].scope = i % 4 < 2 ? SM_STR("\x0a\x01s") : SM_STR("");
        spans[i].scope_schema_url = i == 3 ? SM_STR("https://s") : SM_STR("");
    }
}

Test(otlp_encode, groups_and_order_read_back)
{
    struct sm_encode_span spans[SPANS];
    struct sm_buf out = {0}, once_more = {0};
    fill(spans);
    sm_codec_otlp_proto_encode(spans, SPANS, &out);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, out.data, out.size), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, SPANS);
    struct sm_encode_span *back = codec_env_spans(&e);
    for (unsigned i = 0; i < SPANS; i++) {
        cr_assert(sm_str_eq(back[i].resource, spans[i].resource), "%u", i);
        cr_assert(sm_str_eq(back[i].resource_schema_url, spans[i].resource_schema_url), "%u", i);
        cr_assert(sm_str_eq(back[i].scope, spans[i].scope), "%u", i);
        cr_assert(sm_str_eq(back[i].scope_schema_url, spans[i].scope_schema_url), "%u", i);
        cr_assert(sm_str_eq(back[i].bytes, spans[i].bytes), "%u", i);
    }
    sm_codec_otlp_proto_encode(back, SPANS, &once_more);
    cr_assert(sm_str_eq(sm_buf_str(&out), sm_buf_str(&once_more)));
    free(back);
    sm_buf_fini(&out);
    sm_buf_fini(&once_more);
}

Test(otlp_encode, equal_neighbours_share_a_group)
{
    struct sm_encode_span spans[SPANS];
    fill(spans);
    cr_assert_eq(sm_otlp_resource_run(spans, SPANS), 4);
    cr_assert_eq(sm_otlp_scope_run(spans, 4), 2);
    cr_assert_eq(sm_otlp_scope_run(spans + 2, 2), 1, "the schema URL differs");
    cr_assert_eq(sm_otlp_resource_run(spans + 4, 5), 2);
    char copy[8];
    memcpy(copy, spans[0].resource.ptr, spans[0].resource.len);
    spans[1].resource.ptr = copy;
    cr_assert_eq(sm_otlp_resource_run(spans, SPANS), 4, "by content");
}

Test(otlp_encode, no_spans_is_an_empty_message)
{
    struct sm_buf out = {0};
    sm_codec_otlp_proto_encode(NULL, 0, &out);
    cr_assert_eq(out.size, 0);
}

Test(otlp_encode, a_full_buffer_stops_it)
{
    struct sm_encode_span spans[SPANS];
    struct sm_buf out = {.size_max = 100};
    fill(spans);
    sm_codec_otlp_proto_encode(spans, SPANS, &out);
    cr_assert(out.overflow);
    sm_buf_fini(&out);
}
