#include "base/pb.h"
#include "sinks/otlp_encode.h"
#include "span/attr.h"
#include "span/private.h"
#include "span/threshold.h"
#include "traces.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* What one span of a request looks like to a receiver. */
struct seen {
    char service[32], scope[32], name[32], tracestate[128];
    uint64_t span_id;
    bool has_private;
};

struct request {
    struct seen spans[64];
    unsigned count, resources, scopes;
    uint64_t written;
    size_t size;
};

static void copy_text(char *out, size_t out_size, const struct sm_pb_field *f)
{
    cr_assert_lt(f->size, out_size);
    memcpy(out, f->bytes, f->size);
    out[f->size] = '\0';
}

static void read_span(struct seen *s, const struct sm_pb_field *message)
{
    const uint8_t *p = message->bytes, *end = p + message->size;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == SM_OTLP_SPAN_ID)
            s->span_id = sm_load_be64(f.bytes);
        else if (f.number == SM_OTLP_NAME)
            copy_text(s->name, sizeof s->name, &f);
        else if (f.number == SM_OTLP_TRACE_STATE)
            copy_text(s->tracestate, sizeof s->tracestate, &f);
        else if (f.number == SM_PRIVATE_FIELD)
            s->has_private = true;
    }
    cr_assert_eq(p, end, "span malformed");
}

static void read_scope(struct request *r, const char *service, const struct sm_pb_field *message)
{
    const uint8_t *p = message->bytes, *end = p + message->size;
    struct sm_pb_field f;
    char scope[32] = "";
    r->scopes++;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 1) {
            const uint8_t *q = f.bytes;
            struct sm_pb_field name;
            cr_assert(sm_pb_next(&q, f.bytes + f.size, &name));
            copy_text(scope, sizeof scope, &name);
        } else if (f.number == 2) {
            struct seen *s = &r->spans[r->count++];
            strcpy(s->service, service);
            strcpy(s->scope, scope);
            read_span(s, &f);
        }
    }
    cr_assert_eq(p, end, "scope malformed");
}

static void read_resource(struct request *r, const struct sm_pb_field *message)
{
    const uint8_t *p = message->bytes, *end = p + message->size;
    struct sm_pb_field f;
    char service[32] = "";
    bool schema = false;
    r->resources++;
    while (sm_pb_next(&p, end, &f)) {
        struct sm_value v;
        if (f.number == 1) {
            cr_assert(sm_attr_find(f.bytes, f.size, 1, SM_STR("service.name"), &v));
            memcpy(service, v.bytes.ptr, v.bytes.len);
            service[v.bytes.len] = '\0';
        } else if (f.number == 2) {
            read_scope(r, service, &f);
        } else if (f.number == 3) {
            schema = sm_str_eq(sm_str(f.bytes, f.size), SM_STR("https://example.org/r"));
        }
    }
    cr_assert(schema);
    cr_assert_eq(p, end, "resource malformed");
}

static struct request encode(struct sm_otlp_encoder *e, const struct sm_trace **traces, uint32_t count, uint64_t skip,
                             size_t bytes_max)
{
    struct sm_sink_batch batch = batch_of(traces, count);
    struct sm_buf out = {0};
    struct request r = {.count = 0};
    r.written = sm_otlp_encode(e, &batch, skip, bytes_max, &out);
    r.size = out.size;
    const uint8_t *p = out.data, *end = out.size ? p + out.size : p;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        cr_assert_eq(f.number, 1);
        read_resource(&r, &f);
    }
    cr_assert_eq(p, end, "request malformed");
    cr_assert_eq(r.count, r.written);
    sm_buf_fini(&out);
    return r;
}

static struct traces fixture;
static struct sm_otlp_encoder *encoder;

static void set_up(void)
{
    traces_init(&fixture);
    encoder = sm_otlp_encoder_new(fixture.names, fixture.scopes, false);
}

static void tear_down(void)
{
    sm_otlp_encoder_free(encoder);
    traces_fini(&fixture);
}

TestSuite(otlp_encode, .init = set_up, .fini = tear_down);

Test(otlp_encode, spans_are_grouped_by_resource_and_scope)
{
    uint32_t shop_http = traces_scope(&fixture, "shop", "http"), shop_db = traces_scope(&fixture, "shop", "db");
    uint32_t cart = traces_scope(&fixture, "cart", "http");
    struct sm_trace *a = trace_new(1), *b = trace_new(2);
    trace_add(a, shop_http, 1, "get", NULL, SM_STR(""));
    trace_add(a, cart, 2, "add", NULL, SM_STR(""));
    trace_add(a, shop_db, 3, "select", NULL, SM_STR(""));
    trace_add(b, cart, 4, "list", NULL, SM_STR(""));
    trace_add(b, shop_http, 5, "get", NULL, SM_STR(""));
    const struct sm_trace *traces[] = {a, b};
    struct request r = encode(encoder, traces, 2, 0, SIZE_MAX);
    cr_assert_eq(r.count, 5);
    cr_assert_eq(r.resources, 2);
    cr_assert_eq(r.scopes, 3);
    static const struct seen expected[] = {{"shop", "http", "get", "", 1, false},   {"shop", "http", "get", "", 5, false},
                                           {"shop", "db", "select", "", 3, false},  {"cart", "http", "add", "", 2, false},
                                           {"cart", "http", "list", "", 4, false}};
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_str_eq(r.spans[i].service, expected[i].service);
        cr_assert_str_eq(r.spans[i].scope, expected[i].scope);
        cr_assert_str_eq(r.spans[i].name, expected[i].name);
        cr_assert_eq(r.spans[i].span_id, expected[i].span_id);
    }
    trace_free(a);
    trace_free(b);
}

Test(otlp_encode, many_scopes_grow_the_tables)
{
    struct sm_trace *t = trace_new(1);
    char service[16];
    uint32_t scopes[60];
    for (unsigned i = 0; i < 60; i++) {
        snprintf(service, sizeof service, "s%u", i % 20);
        scopes[i] = traces_scope(&fixture, service, i < 20 ? "a" : i < 40 ? "b" : "c");
    }
    for (unsigned i = 0; i < 60; i++)
        trace_add(t, scopes[(i * 7) % 60], i + 1, "x", NULL, SM_STR(""));
    const struct sm_trace *traces[] = {t};
    struct request r = encode(encoder, traces, 1, 0, SIZE_MAX);
    cr_assert_eq(r.count, 60);
    cr_assert_eq(r.resources, 20);
    cr_assert_eq(r.scopes, 60);
    trace_free(t);
}

Test(otlp_encode, a_batch_is_cut_into_requests_of_bounded_size)
{
    uint32_t scope = traces_scope(&fixture, "shop", "http");
    struct sm_trace *a = trace_new(1), *b = trace_new(2);
    for (unsigned i = 1; i <= 10; i++)
        trace_add(i <= 5 ? a : b, scope, i, "a name of some length here", NULL, SM_STR(""));
    const struct sm_trace *traces[] = {a, b};
    uint64_t done = 0;
    unsigned requests = 0;
    while (done < 10) {
        struct request r = encode(encoder, traces, 2, done, 500);
        cr_assert_gt(r.written, 0);
        cr_assert_leq(r.size, 500);
        for (unsigned i = 0; i < r.count; i++)
            cr_assert_eq(r.spans[i].span_id, done + i + 1);
        done += r.written;
        requests++;
    }
    cr_assert_eq(done, 10);
    cr_assert_gt(requests, 2);
    cr_assert_eq(encode(encoder, traces, 2, 10, 500).written, 0);
    cr_assert_eq(encode(encoder, traces, 2, 9, 1).written, 1, "one span at least");
    trace_free(a);
    trace_free(b);
}

#define T(x) (UINT64_C(x) << 52) /* a threshold of one hex digit */

Test(otlp_encode, tracestate_follows_the_decision)
{
    static const struct {
        const char *incoming;
        uint64_t threshold;
        bool derived, counted_out;
        const char *expected;
    } cases[] = {
        {NULL, 0, true, false, ""},
        {"vendor=1", 0, true, false, "vendor=1"},
        {"ot=th:8", 0, false, false, "ot=th:8"},
        {NULL, T(0xc), false, false, "ot=th:c"},
        {NULL, T(0xc), true, false, "ot=th:c;rv:d0000000000001"},
        {"vendor=1", T(0xc), false, false, "ot=th:c,vendor=1"},
        {"vendor=1,ot=th:8", T(0xc), false, false, "ot=th:c,vendor=1"},
        {"vendor=1,ot=th:e", T(0xc), false, false, "vendor=1,ot=th:e"},
        {"ot=th:8;rv:e0000000000002", T(0xc), true, false, "ot=th:c;rv:e0000000000002"},
        {"ot=th:e", T(0xc), true, false, "ot=th:e;rv:d0000000000001"},
        {"ot=th:zz,vendor=1", T(0xc), false, false, "ot=th:c,vendor=1"},
        {NULL, 0, false, true, ""},
        {"ot=th:8", 0, false, true, ""},
        {"ot=th:8,vendor=1", T(0xc), false, true, "vendor=1"},
        {"vendor=1", T(0xc), false, true, "vendor=1"},
    };
    uint32_t scope = traces_scope(&fixture, "shop", "http");
    for (unsigned i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_trace *t = trace_new(1);
        t->threshold = cases[i].threshold;
        t->randomness = UINT64_C(0xd0000000000001);
        t->randomness_derived = cases[i].derived;
        t->counted_out = cases[i].counted_out;
        trace_add(t, scope, 1, "a", cases[i].incoming, SM_STR(""));
        trace_add(t, scope, 2, "b", cases[i].incoming, SM_STR(""));
        trace_add(t, scope, 3, "c", "other=2", SM_STR(""));
        const struct sm_trace *traces[] = {t};
        struct request r = encode(encoder, traces, 1, 0, SIZE_MAX);
        cr_assert_str_eq(r.spans[0].tracestate, cases[i].expected, "case %u: '%s'", i, r.spans[0].tracestate);
        cr_assert_str_eq(r.spans[1].tracestate, cases[i].expected);
        cr_assert(strstr(r.spans[2].tracestate, "other=2"));
        trace_free(t);
    }
}

Test(otlp_encode, an_unchanged_span_is_copied_byte_by_byte)
{
    uint32_t scope = traces_scope(&fixture, "shop", "http");
    struct sm_trace *t = trace_new(1);
    trace_add(t, scope, 1, "a", "ot=th:e", SM_STR("\x9a\x06\x03xyz")); /* an unknown field 99 stays */
    const struct sm_trace *traces[] = {t};
    struct sm_sink_batch batch = batch_of(traces, 1);
    struct sm_buf out = {0};
    ((struct sm_span *)t->chunks->data)->flags &= (uint16_t)~SM_SPAN_PRIVATE;
    t->threshold = T(0xc);
    cr_assert_eq(sm_otlp_encode(encoder, &batch, 0, SIZE_MAX, &out), 1);
    cr_assert_not_null(memmem(out.data, out.size, t->data_at, t->bytes));
    sm_buf_fini(&out);
    trace_free(t);
}

Test(otlp_encode, the_private_field_is_for_spanmill_only)
{
    uint8_t private[256];
    struct sm_private priv = {.origin = SM_ORIGIN_ZIPKIN_V2, .flags = SM_PRIVATE_SHARED};
    size_t size = (size_t)(sm_private_put(private, &priv) - private);
    uint32_t scope = traces_scope(&fixture, "shop", "http");
    struct sm_trace *t = trace_new(1);
    t->threshold = T(0xc);
    trace_add(t, scope, 1, "a", NULL, sm_str(private, size));
    trace_add(t, scope, 2, "b", NULL, SM_STR(""));
    const struct sm_trace *traces[] = {t};
    struct request foreign = encode(encoder, traces, 1, 0, SIZE_MAX);
    cr_assert_eq(foreign.count, 2);
    cr_assert_not(foreign.spans[0].has_private);
    cr_assert_str_eq(foreign.spans[0].tracestate, "ot=th:c");
    cr_assert_str_eq(foreign.spans[0].name, "a");
    struct sm_otlp_encoder *own = sm_otlp_encoder_new(fixture.names, fixture.scopes, true);
    struct request peer = encode(own, traces, 1, 0, SIZE_MAX);
    cr_assert(peer.spans[0].has_private);
    cr_assert_str_eq(peer.spans[0].tracestate, "ot=th:c");
    sm_otlp_encoder_free(own);
    trace_free(t);
}
