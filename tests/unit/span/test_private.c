#include "span/private.h"

#include "base/buf.h"
#include "base/pb.h"
#include "span/attr.h"

#include <criterion/criterion.h>

static const uint8_t ipv4[4] = {10, 0, 0, 1};
static const uint8_t ipv6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};

Test(private, documented_example)
{
    const struct sm_private priv = {.origin = SM_ORIGIN_ZIPKIN_V2, .flags = SM_PRIVATE_SHARED, .local = {.ipv4 = ipv4, .port = 8080}};
    static const uint8_t expected[] = {0xaa, 0x7b, 0x0d, 0x08, 0x01, 0x10, 0x01, 0x1a, 0x04, 10, 0, 0, 1, 0x28, 0x90, 0x3f};
    uint8_t bytes[256];
    size_t n = (size_t)(sm_private_put(bytes, &priv) - bytes);
    cr_assert_eq(n, sizeof expected);
    cr_assert_arr_eq(bytes, expected, n);
}

Test(private, everything_reads_back)
{
    char service[200];
    memset(service, 's', sizeof service);
    for (size_t len = 0; len <= sizeof service; len++) {
        const struct sm_private priv = {
            .origin = SM_ORIGIN_JAEGER,
            .flags = SM_PRIVATE_DEBUG | SM_PRIVATE_ID64 | SM_PRIVATE_PEER_ADDED,
            .local = {.ipv4 = ipv4, .ipv6 = ipv6, .port = 65535},
            .remote = {.service = {service, len}, .ipv6 = ipv6, .port = 1},
            .duration_ns = UINT64_MAX,
            .jaeger_flags = UINT32_MAX,
            .parent_reference = 7,
        };
        uint8_t bytes[512];
        size_t n = (size_t)(sm_private_put(bytes, &priv) - bytes);
        cr_assert_leq(n, sm_private_size_max(&priv));
        struct sm_private back;
        cr_assert(sm_private_find(bytes, n, &back));
        cr_assert_eq(back.origin, SM_ORIGIN_JAEGER);
        cr_assert_eq(back.flags, priv.flags);
        cr_assert_arr_eq(back.local.ipv4, ipv4, 4);
        cr_assert_arr_eq(back.local.ipv6, ipv6, 16);
        cr_assert_eq(back.local.port, 65535);
        cr_assert(sm_str_eq(back.remote.service, priv.remote.service));
        cr_assert_null(back.remote.ipv4);
        cr_assert_arr_eq(back.remote.ipv6, ipv6, 16);
        cr_assert_eq(back.remote.port, 1);
        cr_assert_eq(back.duration_ns, UINT64_MAX);
        cr_assert_eq(back.jaeger_flags, UINT32_MAX);
        cr_assert_eq(back.parent_reference, 7);
    }
}

Test(private, malformed_content_reads_as_absent)
{
    struct sm_private priv;
    static const uint8_t truncated[] = {0x08, 0x01, 0x1a, 0x04, 1, 2};
    cr_assert_not(sm_private_decode(truncated, sizeof truncated, &priv));
    cr_assert_eq(priv.origin, SM_ORIGIN_OTLP);
    static const uint8_t odd[] = {0x08, 0x63, 0x1a, 0x03, 1, 2, 3, 0x2d, 1, 2, 3, 4, 0xa0, 0x06, 5};
    cr_assert(sm_private_decode(odd, sizeof odd, &priv), "unknown origin, wrong lengths and types, unknown member");
    cr_assert_eq(priv.origin, SM_ORIGIN_OTLP);
    cr_assert_null(priv.local.ipv4);
    cr_assert_eq(priv.local.port, 0);
    cr_assert_not(sm_private_find(NULL, 0, &priv));
}

Test(private, header_bits)
{
    struct sm_private priv = {.flags = SM_PRIVATE_SHARED | SM_PRIVATE_STATUS_DERIVED};
    cr_assert_eq(sm_private_span_flags(&priv), SM_SPAN_PRIVATE | SM_SPAN_SHARED);
    priv.flags = SM_PRIVATE_DEBUG | SM_PRIVATE_ID64;
    cr_assert_eq(sm_private_span_flags(&priv), SM_SPAN_PRIVATE | SM_SPAN_DEBUG | SM_SPAN_ID64);
}

/* A span being built, and the looks into the plain form of it. */
struct span {
    uint8_t bytes[1024];
    size_t size;
};

static void add_attr(struct span *s, const char *key, const char *value)
{
    uint8_t any[64], kv[128];
    size_t any_size = (size_t)(sm_pb_put_bytes(any, 1, value, strlen(value)) - any);
    uint8_t *p = sm_pb_put_bytes(kv, 1, key, strlen(key));
    p = sm_pb_put_bytes(p, 2, any, any_size);
    s->size = (size_t)(sm_pb_put_bytes(s->bytes + s->size, SM_OTLP_ATTRIBUTES, kv, (size_t)(p - kv)) - s->bytes);
}

static void add_private(struct span *s, const struct sm_private *priv)
{
    s->size = (size_t)(sm_private_put(s->bytes + s->size, priv) - s->bytes);
}

static bool plain_has(const struct sm_buf *plain, const char *key, const char *text)
{
    struct sm_value value;
    struct sm_buf out = {0};
    bool has = sm_attr_find(plain->data, plain->size, SM_OTLP_ATTRIBUTES, sm_str_c(key), &value);
    if (has)
        sm_value_text(&value, &out);
    has = has && sm_str_eq(sm_buf_str(&out), sm_str_c(text));
    sm_buf_fini(&out);
    return has;
}

static uint64_t plain_end(const struct sm_buf *plain)
{
    const uint8_t *p = plain->data, *end = p + plain->size;
    struct sm_pb_field f;
    uint64_t end_ns = 0;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == SM_OTLP_END)
            end_ns = f.value;
    }
    cr_assert_eq(p, end, "well-formed");
    return end_ns;
}

Test(private, plain_form_for_foreign_receivers)
{
    struct span s = {0};
    struct sm_buf plain = {0};
    struct sm_private priv = {.origin = SM_ORIGIN_ZIPKIN_V2,
                              .flags = SM_PRIVATE_SHARED | SM_PRIVATE_DEBUG | SM_PRIVATE_STATUS_DERIVED,
                              .local = {.ipv4 = ipv4, .ipv6 = ipv6, .port = 80},
                              .remote = {.ipv6 = ipv6}};
    add_attr(&s, "network.local.port", "81");
    add_attr(&s, "error", "true");
    s.size = (size_t)(sm_pb_put_fixed64(s.bytes + s.size, SM_OTLP_START, 5000) - s.bytes);
    add_private(&s, &priv);
    sm_private_plain(sm_str(s.bytes, s.size), &plain);
    cr_assert_not(sm_private_find(plain.data, plain.size, &priv));
    cr_assert(plain_has(&plain, "network.local.address", "10.0.0.1"));
    cr_assert(plain_has(&plain, "network.local.port", "81"), "the span's own stays");
    cr_assert(plain_has(&plain, "network.peer.address", "2001:db8::1"));
    cr_assert(plain_has(&plain, "zipkin.shared", "true"));
    cr_assert(plain_has(&plain, "sampling.priority", "1"));
    cr_assert_not(plain_has(&plain, "error", "true"));
    cr_assert_eq(plain_end(&plain), 5000);
    sm_buf_fini(&plain);
}

Test(private, plain_form_without_start_keeps_the_duration)
{
    struct span s = {0};
    struct sm_buf plain = {0};
    const struct sm_private priv = {.origin = SM_ORIGIN_ZIPKIN_V2, .flags = SM_PRIVATE_STATUS_DERIVED, .duration_ns = 7000};
    add_attr(&s, "error", "it broke");
    add_private(&s, &priv);
    sm_private_plain(sm_str(s.bytes, s.size), &plain);
    cr_assert(plain_has(&plain, "otel.zipkin.absentField.startTime", "true"));
    cr_assert(plain_has(&plain, "error", "it broke"));
    cr_assert_eq(plain_end(&plain), 7000);
    sm_buf_fini(&plain);
}

Test(private, spans_without_the_field_are_copied)
{
    struct span s = {0};
    struct sm_buf plain = {0};
    add_attr(&s, "error", "true");
    sm_private_plain(sm_str(s.bytes, s.size), &plain);
    cr_assert(sm_str_eq(sm_buf_str(&plain), sm_str(s.bytes, s.size)));
    sm_buf_fini(&plain);
}
