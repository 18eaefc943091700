#include "span/attr.h"
#include "base/buf.h"

#include <criterion/criterion.h>
#include <math.h>

/* A message being built. */
struct message {
    uint8_t bytes[2048];
    size_t size;
};

static void add_bytes(struct message *m, uint32_t field, const void *bytes, size_t size)
{
    m->size = (size_t)(sm_pb_put_bytes(m->bytes + m->size, field, bytes, size) - m->bytes);
}

static void add_attr(struct message *m, uint32_t field, const char *key, const struct message *any)
{
    struct message kv = {0};
    add_bytes(&kv, 1, key, strlen(key));
    add_bytes(&kv, 2, any->bytes, any->size);
    add_bytes(m, field, kv.bytes, kv.size);
}

static struct message any_string(const char *text)
{
    struct message any = {0};
    add_bytes(&any, 1, text, strlen(text));
    return any;
}

static struct message any_int(int64_t v)
{
    struct message any = {0};
    any.size = (size_t)(sm_pb_put_uint(any.bytes, 3, (uint64_t)v) - any.bytes);
    return any;
}

static struct message any_double(double v)
{
    struct message any = {0};
    uint64_t bits;
    memcpy(&bits, &v, 8);
    any.size = (size_t)(sm_pb_put_fixed64(any.bytes, 4, bits) - any.bytes);
    return any;
}

static struct message any_bool(bool v)
{
    struct message any = {0};
    any.size = (size_t)(sm_pb_put_uint(any.bytes, 2, v) - any.bytes);
    return any;
}

static const char *text_of(const struct message *any, struct sm_buf *out)
{
    struct sm_value value;
    sm_buf_clear(out);
    cr_assert(sm_value_decode(any->bytes, any->size, &value));
    sm_value_text(&value, out);
    sm_buf_putc(out, '\0');
    return (const char *)out->data;
}

Test(attr, values_decode_by_type)
{
    struct sm_value v;
    struct message any = any_int(-5);
    cr_assert(sm_value_decode(any.bytes, any.size, &v));
    cr_assert_eq(v.type, SM_VALUE_INT);
    cr_assert_eq(v.i, -5);
    any = any_double(2.5);
    cr_assert(sm_value_decode(any.bytes, any.size, &v));
    cr_assert_eq(v.type, SM_VALUE_DOUBLE);
    cr_assert_eq(v.d, 2.5);
    any = any_bool(true);
    cr_assert(sm_value_decode(any.bytes, any.size, &v));
    cr_assert_eq(v.type, SM_VALUE_BOOL);
    cr_assert(v.b);
    cr_assert(sm_value_decode(NULL, 0, &v));
    cr_assert_eq(v.type, SM_VALUE_EMPTY);
}

Test(attr, last_member_of_a_value_wins)
{
    struct message any = any_string("first");
    any.size = (size_t)(sm_pb_put_uint(any.bytes + any.size, 3, 7) - any.bytes);
    struct sm_value v;
    cr_assert(sm_value_decode(any.bytes, any.size, &v));
    cr_assert_eq(v.type, SM_VALUE_INT);
    cr_assert_eq(v.i, 7);
}

Test(attr, truncated_values_are_malformed_at_every_length)
{
    struct message any = any_string("hello");
    struct sm_value v;
    for (size_t n = 1; n < any.size; n++)
        cr_assert_not(sm_value_decode(any.bytes, n, &v), "%zu", n);
}

Test(attr, attributes_are_found_by_key)
{
    struct message span = {0}, any = any_string("one");
    add_bytes(&span, SM_OTLP_NAME, "the name", 8);
    add_attr(&span, SM_OTLP_ATTRIBUTES, "a", &any);
    any = any_int(2);
    add_attr(&span, SM_OTLP_ATTRIBUTES, "b", &any);
    struct sm_value v;
    cr_assert(sm_attr_find(span.bytes, span.size, SM_OTLP_ATTRIBUTES, SM_STR("b"), &v));
    cr_assert_eq(v.i, 2);
    cr_assert_not(sm_attr_find(span.bytes, span.size, SM_OTLP_ATTRIBUTES, SM_STR("c"), &v));
    cr_assert_eq(v.type, SM_VALUE_EMPTY);
    struct sm_span head = {.size = (uint32_t)span.size & SM_SPAN_SIZE_MAX};
    cr_assert(sm_str_eq(sm_span_name_bytes(&head, span.bytes), SM_STR("the name")));
}

Test(attr, iteration_ends_at_malformed_bytes)
{
    struct message span = {0}, any = any_string("one");
    add_attr(&span, SM_OTLP_ATTRIBUTES, "a", &any);
    span.bytes[span.size++] = 0x4a; /* an attribute without length */
    struct sm_attr_iter it = sm_attr_iter(span.bytes, span.size, SM_OTLP_ATTRIBUTES);
    struct sm_str key;
    struct sm_value v;
    cr_assert(sm_attr_next(&it, &key, &v));
    cr_assert_not(sm_attr_next(&it, &key, &v));
    cr_assert_not(sm_attr_next(&it, &key, &v));
}

Test(attr, side_records_lead_to_values_and_stay_in_bounds)
{
    struct {
        struct sm_span span;
        uint32_t records[2];
    } head = {.span = {.n_wanted = 2}};
    uint8_t bytes[] = {4, 0x0a, 2, 'h', 'i', 9};
    head.span.size = sizeof bytes;
    head.records[0] = SM_WANTED_RECORD(3, 0);
    head.records[1] = SM_WANTED_RECORD(4, 5);
    struct sm_value v;
    cr_assert(sm_span_value(&head.span, bytes, 3, &v));
    cr_assert(sm_str_eq(v.bytes, SM_STR("hi")));
    cr_assert_not(sm_span_value(&head.span, bytes, 4, &v), "length past the end");
    cr_assert_not(sm_span_value(&head.span, bytes, 5, &v));
    cr_assert_not(sm_value_at(bytes, sizeof bytes, SM_WANTED_RECORD(0, 77), &v));
}

Test(attr, values_as_text)
{
    struct sm_buf out = {0};
    struct message any = any_string("a \"b\"");
    cr_assert_str_eq(text_of(&any, &out), "a \"b\"");
    any = any_int(INT64_MIN);
    cr_assert_str_eq(text_of(&any, &out), "-9223372036854775808");
    any = any_double(0.1);
    cr_assert_str_eq(text_of(&any, &out), "0.1");
    any = any_double(NAN);
    cr_assert_str_eq(text_of(&any, &out), "NaN");
    any = any_bool(false);
    cr_assert_str_eq(text_of(&any, &out), "false");
    any.size = 0;
    add_bytes(&any, 7, "\x01\x02\xff\x00", 4);
    cr_assert_str_eq(text_of(&any, &out), "AQL/AA==");
    any.size = 0;
    cr_assert_str_eq(text_of(&any, &out), "");
    sm_buf_fini(&out);
}

Test(attr, arrays_and_kvlists_as_json)
{
    struct sm_buf out = {0};
    struct message array = {0}, list = {0}, any = {0}, outer = {0}, element = any_string("x\n");
    add_bytes(&array, 1, element.bytes, element.size);
    element = any_double(-1.5);
    add_bytes(&array, 1, element.bytes, element.size);
    add_bytes(&array, 1, NULL, 0);
    add_bytes(&any, 5, array.bytes, array.size);
    cr_assert_str_eq(text_of(&any, &out), "[\"x\\n\",-1.5,null]");
    add_attr(&list, 1, "k", &any);
    element = any_bool(true);
    add_attr(&list, 1, "t", &element);
    add_bytes(&outer, 6, list.bytes, list.size);
    cr_assert_str_eq(text_of(&outer, &out), "{\"k\":[\"x\\n\",-1.5,null],\"t\":true}");
    sm_buf_fini(&out);
}

Test(attr, text_of_deep_nesting_is_cut_at_the_depth_limit)
{
    struct message any = any_int(1);
    for (unsigned i = 0; i < 2 * SM_VALUE_DEPTH_MAX; i++) {
        struct message array = {0}, wrapped = {0};
        add_bytes(&array, 1, any.bytes, any.size);
        add_bytes(&wrapped, 5, array.bytes, array.size);
        any = wrapped;
    }
    struct sm_buf out = {0};
    const char *text = text_of(&any, &out);
    cr_assert_eq(strspn(text, "["), SM_VALUE_DEPTH_MAX);
    cr_assert_eq(strncmp(text + SM_VALUE_DEPTH_MAX, "null]", 5), 0);
    sm_buf_fini(&out);
}
