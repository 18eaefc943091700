/* The limits on what comes in, at their default values, for every codec: what is exactly at a limit passes, what is one beyond
 * it is refused for the right reason, and the span beside it is taken. */
#include "base/pb.h"
#include "tests/support/codec_env.h"

#include <criterion/criterion.h>

enum what {
    ATTRIBUTES,
    EVENT_ATTRIBUTES,
    LINK_ATTRIBUTES,
    RESOURCE_ATTRIBUTES,
    STRING,
    BYTES,
    KEY,
    NAME,
    IN_ARRAY,
    IN_EVENT,
    VALUES_OF_64K,
    ARRAYS,
    MAPS,
};

static struct codec_env e;

static void open_env(void)
{
    codec_env_init(&e);
}

static void close_env(void)
{
    codec_env_fini(&e);
}

TestSuite(codec_limits, .init = open_env, .fini = close_env);

/* --- OTLP protobuf --- */

static void put(struct sm_buf *b, uint32_t field, const void *bytes, size_t n)
{
    cr_assert(sm_buf_reserve(b, sm_pb_bytes_size(field, n)));
    b->size = (size_t)(sm_pb_put_bytes(b->data + b->size, field, bytes, n) - b->data);
}

static void put_buf(struct sm_buf *b, uint32_t field, struct sm_buf *part)
{
    put(b, field, part->data, part->size);
    sm_buf_fini(part);
}

static void put_xs(struct sm_buf *b, uint32_t field, size_t n)
{
    char *text = sm_xmalloc(n + 1);
    memset(text, 'x', n);
    put(b, field, text, n);
    free(text);
}

static void put_attribute(struct sm_buf *b, uint32_t field, struct sm_buf *any)
{
    struct sm_buf kv = {0};
    put(&kv, 1, "k", 1);
    put_buf(&kv, 2, any);
    put_buf(b, field, &kv);
}

static void put_attributes(struct sm_buf *b, uint32_t field, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct sm_buf any = {0};
        put(&any, 1, "v", 1);
        put_attribute(b, field, &any);
    }
}

static void nested_any(struct sm_buf *any, enum what what, unsigned depth)
{
    struct sm_buf inner = {0}, list = {0};
    if (depth == 1) {
        put(any, 1, "v", 1);
        return;
    }
    nested_any(&inner, what, depth - 1);
    if (what == ARRAYS)
        put_buf(&list, 1, &inner);
    else
        put_attribute(&list, 1, &inner);
    put_buf(any, what == ARRAYS ? 5 : 6, &list);
}

static void proto_extra(struct sm_buf *span, enum what what, unsigned n)
{
    struct sm_buf any = {0}, part = {0};
    switch (what) {
    case ATTRIBUTES:
        put_attributes(span, 9, n);
        return;
    case EVENT_ATTRIBUTES:
        put_attributes(&part, 3, n);
        put_buf(span, 11, &part);
        return;
    case LINK_ATTRIBUTES:
        put_attributes(&part, 4, n);
        put_buf(span, 13, &part);
        return;
    case STRING:
    case BYTES:
        put_xs(&any, what == STRING ? 1 : 7, n);
        put_attribute(span, 9, &any);
        return;
    case KEY:
        put_xs(&part, 1, n);
        put_buf(span, 9, &part);
        return;
    case NAME:
        put_xs(span, 5, n);
        return;
    case IN_ARRAY: {
        struct sm_buf item = {0};
        put_xs(&item, 1, n);
        put_buf(&part, 1, &item);
        put_buf(&any, 5, &part);
        put_attribute(span, 9, &any);
        return;
    }
    case IN_EVENT:
        put_xs(&any, 1, n);
        put_attribute(&part, 3, &any);
        put_buf(span, 11, &part);
        return;
    case VALUES_OF_64K:
        for (unsigned i = 0; i < n; i++) {
            struct sm_buf value = {0};
            put_xs(&value, 1, 65536);
            put_attribute(span, 9, &value);
        }
        return;
    case ARRAYS:
    case MAPS:
        nested_any(&any, what, n);
        put_attribute(span, 9, &any);
        return;
    default:
        return;
    }
}

static void proto_span(struct sm_buf *scope, uint8_t id, enum what what, unsigned n)
{
    static const uint8_t trace[16] = {1};
    const uint8_t span_id[8] = {id};
    struct sm_buf span = {0};
    put(&span, 1, trace, 16);
    put(&span, 2, span_id, 8);
    if (id == 1)
        proto_extra(&span, what, n);
    put_buf(scope, 2, &span);
}

static void proto(struct sm_buf *out, enum what what, unsigned n)
{
    struct sm_buf resource = {0}, scope = {0}, group = {0};
    if (what == RESOURCE_ATTRIBUTES)
        put_attributes(&resource, 1, n);
    proto_span(&scope, 1, what, n);
    proto_span(&scope, 2, what, n);
    put_buf(&group, 1, &resource);
    put_buf(&group, 2, &scope);
    put_buf(out, 1, &group);
}

/* --- JSON --- */

static void xs(struct sm_buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sm_buf_putc(b, 'x');
}

static void json_attributes(struct sm_buf *b, unsigned n)
{
    sm_buf_puts(b, "\"attributes\":[");
    for (unsigned i = 0; i < n; i++)
        sm_buf_printf(b, "%s{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}", i ? "," : "");
    sm_buf_puts(b, "]");
}

static void json_value(struct sm_buf *b, const char *before, size_t n, const char *after)
{
    sm_buf_printf(b, "\"attributes\":[{\"key\":\"k\",\"value\":%s", before);
    xs(b, n);
    sm_buf_printf(b, "%s}]", after);
}

static void json_nested(struct sm_buf *b, enum what what, unsigned n)
{
    sm_buf_puts(b, "\"attributes\":[{\"key\":\"k\",\"value\":");
    for (unsigned i = 1; i < n; i++)
        sm_buf_puts(b, what == ARRAYS ? "{\"arrayValue\":{\"values\":[" : "{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":");
    sm_buf_puts(b, "{\"stringValue\":\"v\"}");
    for (unsigned i = 1; i < n; i++)
        sm_buf_puts(b, what == ARRAYS ? "]}}" : "}]}}");
    sm_buf_puts(b, "}]");
}

static void json_extra(struct sm_buf *b, enum what what, unsigned n)
{
    switch (what) {
    case ATTRIBUTES:
        json_attributes(b, n);
        return;
    case EVENT_ATTRIBUTES:
    case LINK_ATTRIBUTES:
        sm_buf_puts(b, what == EVENT_ATTRIBUTES ? "\"events\":[{" : "\"links\":[{");
        json_attributes(b, n);
        sm_buf_puts(b, "}]");
        return;
    case STRING:
        json_value(b, "{\"stringValue\":\"", n, "\"}");
        return;
    case BYTES:
        sm_buf_puts(b, "\"attributes\":[{\"key\":\"k\",\"value\":{\"bytesValue\":\"");
        for (unsigned i = 0; i < n / 3; i++)
            sm_buf_puts(b, "AAAA");
        sm_buf_puts(b, n % 3 == 2 ? "AAA=" : n % 3 ? "AA==" : "");
        sm_buf_puts(b, "\"}}]");
        return;
    case KEY:
        sm_buf_puts(b, "\"attributes\":[{\"key\":\"");
        xs(b, n);
        sm_buf_puts(b, "\"}]");
        return;
    case NAME:
        sm_buf_puts(b, "\"name\":\"");
        xs(b, n);
        sm_buf_puts(b, "\"");
        return;
    case IN_ARRAY:
        json_value(b, "{\"arrayValue\":{\"values\":[{\"stringValue\":\"", n, "\"}]}}");
        return;
    case IN_EVENT:
        sm_buf_puts(b, "\"events\":[{");
        json_value(b, "{\"stringValue\":\"", n, "\"}");
        sm_buf_puts(b, "}]");
        return;
    case VALUES_OF_64K:
        sm_buf_puts(b, "\"attributes\":[");
        for (unsigned i = 0; i < n; i++) {
            sm_buf_printf(b, "%s{\"key\":\"k\",\"value\":{\"stringValue\":\"", i ? "," : "");
            xs(b, 65536);
            sm_buf_puts(b, "\"}}");
        }
        sm_buf_puts(b, "]");
        return;
    case ARRAYS:
    case MAPS:
        json_nested(b, what, n);
        return;
    default:
        sm_buf_puts(b, "\"kind\":1");
    }
}

static void json(struct sm_buf *b, enum what what, unsigned n)
{
    sm_buf_puts(b, "{\"resourceSpans\":[{\"resource\":{");
    if (what == RESOURCE_ATTRIBUTES)
        json_attributes(b, n);
    sm_buf_puts(b, "},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"01000000000000000000000000000000\",\"spanId\":\"0100000000000000\",");
    json_extra(b, what, n);
    sm_buf_puts(b, "},{\"traceId\":\"01000000000000000000000000000000\",\"spanId\":\"0200000000000000\"}]}]}]}");
}

/* --- Zipkin: tags are strings in a flat list --- */

static void zipkin_tag(struct sm_buf *b, unsigned i, size_t key_size, size_t value_size)
{
    sm_buf_printf(b, "%s\"%u", i ? "," : "", i);
    xs(b, key_size > 1 ? key_size - 1 : 0);
    sm_buf_puts(b, "\":\"");
    xs(b, value_size);
    sm_buf_puts(b, "\"");
}

static void zipkin(struct sm_buf *b, enum what what, unsigned n)
{
    sm_buf_puts(b, "[{\"traceId\":\"1\",\"id\":\"1\",");
    if (what == NAME) {
        sm_buf_puts(b, "\"name\":\"");
        xs(b, n);
        sm_buf_puts(b, "\"");
    } else if (what == IN_EVENT) {
        sm_buf_puts(b, "\"annotations\":[{\"timestamp\":1,\"value\":\"");
        xs(b, n);
        sm_buf_puts(b, "\"}]");
    } else {
        unsigned tags = what == ATTRIBUTES || what == VALUES_OF_64K ? n : 1;
        sm_buf_puts(b, "\"tags\":{");
        for (unsigned i = 0; i < tags; i++)
            zipkin_tag(b, i, what == KEY ? n : 1, what == STRING ? n : what == VALUES_OF_64K ? 65536 : 1);
        sm_buf_puts(b, "}");
    }
    sm_buf_puts(b, "},{\"traceId\":\"1\",\"id\":\"2\"}]");
}

/* --- the checks --- */

struct form {
    const struct sm_codec *codec;
    void (*write)(struct sm_buf *out, enum what what, unsigned n);
};

static const struct form forms[] = {{&sm_codec_otlp_proto, proto}, {&sm_codec_otlp_json, json}, {&sm_codec_zipkin_json, zipkin}};
enum { OTLP_FORMS = 2, ALL_FORMS = 3 };

/* Spans taken of the two. */
static unsigned taken(const struct form *form, enum what what, unsigned n)
{
    struct sm_buf b = {0};
    form->write(&b, what, n);
    cr_assert_eq(codec_env_decode(&e, form->codec, b.data, b.size), SM_OK, "%s, case %d: %s", form->codec->name, what, e.err.text);
    sm_buf_fini(&b);
    return e.batch.count;
}

static void check(enum what what, unsigned limit, enum sm_reject reason, unsigned form_count)
{
    for (unsigned i = 0; i < form_count; i++) {
        const char *name = forms[i].codec->name;
        cr_expect_eq(taken(&forms[i], what, limit), 2, "%s, case %d: refused at the limit: %s", name, what, e.batch.reject_text);
        cr_expect_eq(taken(&forms[i], what, limit + 1), 1, "%s, case %d: not refused beyond the limit", name, what);
        cr_expect_eq(e.batch.rejected[reason], 1, "%s, case %d: %s", name, what, e.batch.reject_text);
        cr_expect_eq(e.batch.rejected_total, 1);
        cr_expect(e.batch.reject_text[0]);
    }
}

Test(codec_limits, attributes_1024)
{
    check(ATTRIBUTES, 1024, SM_REJECT_ATTRIBUTES, ALL_FORMS);
    check(EVENT_ATTRIBUTES, 1024, SM_REJECT_ATTRIBUTES, OTLP_FORMS);
    check(LINK_ATTRIBUTES, 1024, SM_REJECT_ATTRIBUTES, OTLP_FORMS);
}

Test(codec_limits, attributes_of_a_resource_refuse_all_its_spans)
{
    for (unsigned i = 0; i < OTLP_FORMS; i++) {
        cr_expect_eq(taken(&forms[i], RESOURCE_ATTRIBUTES, 1024), 2, "%s", forms[i].codec->name);
        cr_expect_eq(taken(&forms[i], RESOURCE_ATTRIBUTES, 1025), 0, "%s", forms[i].codec->name);
        cr_expect_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 2);
    }
}

/* Of an array the whole counts, as it is stored: 8 bytes more than its only text. */
Test(codec_limits, values_64_kib)
{
    check(STRING, 65536, SM_REJECT_VALUE_SIZE, ALL_FORMS);
    check(BYTES, 65536, SM_REJECT_VALUE_SIZE, OTLP_FORMS);
    check(KEY, 65536, SM_REJECT_VALUE_SIZE, ALL_FORMS);
    check(NAME, 65536, SM_REJECT_VALUE_SIZE, ALL_FORMS);
    check(IN_ARRAY, 65528, SM_REJECT_VALUE_SIZE, OTLP_FORMS);
    check(IN_EVENT, 65536, SM_REJECT_VALUE_SIZE, ALL_FORMS);
}

Test(codec_limits, spans_1_mib)
{
    check(VALUES_OF_64K, 15, SM_REJECT_SPAN_SIZE, ALL_FORMS);
}

Test(codec_limits, depth_32)
{
    check(ARRAYS, 32, SM_REJECT_DEPTH, OTLP_FORMS);
    check(MAPS, 32, SM_REJECT_DEPTH, OTLP_FORMS);
}

/* Far beyond every limit: refused or skipped, never a crash. */
Test(codec_limits, depth_without_bounds)
{
    for (unsigned i = 0; i < OTLP_FORMS; i++) {
        struct sm_buf b = {0};
        forms[i].write(&b, ARRAYS, 5000);
        (void)codec_env_decode(&e, forms[i].codec, b.data, b.size);
        cr_expect_leq(e.batch.count, 1);
        sm_buf_fini(&b);
    }
    static const char *const texts[] = {"{\"x\":%s}", "[{\"traceId\":\"1\",\"id\":\"1\",\"x\":%s}]"};
    for (unsigned i = 0; i < 2; i++) {
        struct sm_buf deep = {0}, b = {0};
        for (unsigned k = 0; k < 100000; k++)
            sm_buf_putc(&deep, '[');
        sm_buf_putc(&deep, '\0');
        sm_buf_printf(&b, texts[i], (const char *)deep.data);
        cr_expect_neq(codec_env_decode(&e, forms[i + 1].codec, b.data, b.size), SM_OK);
        cr_expect_eq(e.batch.count, 0);
        sm_buf_fini(&deep);
        sm_buf_fini(&b);
    }
}
