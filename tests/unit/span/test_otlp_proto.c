/* Decoding OTLP protobuf: the vector of the specification's reference, field shapes, refusals, truncation everywhere. */
#include "base/pb.h"
#include "span/attr.h"
#include "span/codec/codec.h"
#include "span/private.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct sm_decoder d;
static struct sm_batch batch;
static struct sm_scopes *scopes;

static void setup(void)
{
    d.names = sm_names_new(1000, 1 << 20);
    d.names_cache = sm_names_cache_new(d.names);
    scopes = sm_scopes_new(d.names, 1000, 1 << 20);
    d.scopes = sm_scopes_cache_new(scopes, d.names_cache);
    d.wanted = sm_wanted_new(1);
    d.limits = sm_codec_limits_default;
    d.pool = sm_payload_pool_new(1 << 20);
}

static void teardown(void)
{
    sm_batch_fini(&batch);
    sm_payload_pool_free(d.pool);
    sm_scopes_cache_free(d.scopes);
    sm_scopes_free(scopes);
    sm_names_cache_free(d.names_cache);
    sm_names_free(d.names);
    sm_wanted_free((struct sm_wanted *)d.wanted);
}

TestSuite(otlp_proto, .init = setup, .fini = teardown);

static struct sm_payload *payload_of(const void *bytes, size_t size)
{
    struct sm_payload *p = sm_payload_new(d.pool, size);
    memcpy(p->data, bytes, size);
    p->size = size;
    return p;
}

static enum sm_rc decode(const void *bytes, size_t size)
{
    struct sm_payload *p = payload_of(bytes, size);
    sm_batch_clear(&batch);
    struct sm_err err;
    enum sm_rc rc = sm_codec_otlp_proto.decode(&d, p, &batch, &err);
    sm_payload_put(p);
    return rc;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static const char vector[] = "0a550a170a150a0c736572766963652e6e616d6512050a03737663123a12380a100102030405060708090a0b0c0d0e0f10120801"
                             "020304050607082a026f7030023900ca9a3b000000004188dd9a3b000000007a021802";

Test(otlp_proto, reference_vector)
{
    uint8_t bytes[256];
    size_t n = from_hex(vector, bytes);
    cr_assert_eq(decode(bytes, n), SM_OK);
    cr_assert_eq(batch.count, 1);
    const struct sm_span *s = sm_batch_span(&batch, 0);
    cr_assert_eq(batch.items[0].trace.hi, 0x0102030405060708);
    cr_assert_eq(batch.items[0].trace.lo, 0x090a0b0c0d0e0f10);
    cr_assert_eq(s->span_id, 0x0102030405060708);
    cr_assert_eq(s->parent_id, 0);
    cr_assert_eq(s->start_ns, 1000000000);
    cr_assert_eq(s->duration_ns, 5000);
    cr_assert_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_assert_eq(sm_span_status(s), SM_STATUS_ERROR);
    cr_assert_eq(s->flags, SM_SPAN_ERROR);
    cr_assert(sm_str_eq(sm_names_get(d.names, s->name_id), SM_STR("op")));
    const struct sm_scope *scope = sm_scopes_get(scopes, s->scope_id);
    cr_assert(sm_str_eq(sm_names_get(d.names, scope->resource->service_id), SM_STR("svc")));
    cr_assert_eq(s->size, 0x38);
    cr_assert_eq(sm_batch_bytes(&batch, 0)[0], 0x0a);
}

Test(otlp_proto, truncated_anywhere_is_refused_whole)
{
    uint8_t bytes[256];
    size_t n = from_hex(vector, bytes);
    for (size_t cut = 1; cut < n; cut++) {
        cr_assert_eq(decode(bytes, cut), SM_E_INVALID, "cut at %zu", cut);
        cr_assert_eq(batch.count, 0);
    }
    cr_assert_eq(decode(bytes, 0), SM_OK, "an empty request is a legal one");
}

Test(otlp_proto, any_flipped_byte_stays_in_bounds)
{
    uint8_t bytes[256], changed[256];
    size_t n = from_hex(vector, bytes);
    for (size_t i = 0; i < n; i++) {
        for (unsigned v = 0; v < 256; v++) {
            memcpy(changed, bytes, n);
            changed[i] = (uint8_t)v;
            enum sm_rc rc = decode(changed, n);
            cr_assert(rc == SM_OK || rc == SM_E_INVALID);
        }
    }
}

/* Builds a request around the fields of one span. */
struct request {
    uint8_t span[200000];
    size_t span_size;
    uint8_t bytes[200100];
    size_t size;
};

static struct request *request_new(void)
{
    struct request *r = calloc(1, sizeof *r);
    static const uint8_t trace[16] = {1}, span[8] = {2};
    uint8_t *p = sm_pb_put_bytes(r->span, SM_OTLP_TRACE_ID, trace, 16);
    p = sm_pb_put_bytes(p, SM_OTLP_SPAN_ID, span, 8);
    r->span_size = (size_t)(p - r->span);
    return r;
}

static void add_bytes(struct request *r, uint32_t field, const void *bytes, size_t size)
{
    r->span_size = (size_t)(sm_pb_put_bytes(r->span + r->span_size, field, bytes, size) - r->span);
}

static void add_attribute(struct request *r, const char *key, const void *any, size_t any_size)
{
    uint8_t *kv = malloc(any_size + strlen(key) + 32);
    uint8_t *p = sm_pb_put_bytes(kv, 1, key, strlen(key));
    p = sm_pb_put_bytes(p, 2, any, any_size);
    add_bytes(r, SM_OTLP_ATTRIBUTES, kv, (size_t)(p - kv));
    free(kv);
}

static void add_string(struct request *r, const char *key, const char *value)
{
    uint8_t any[300];
    uint8_t *p = sm_pb_put_bytes(any, 1, value, strlen(value));
    add_attribute(r, key, any, (size_t)(p - any));
}

static enum sm_rc decode_request(struct request *r)
{
    static uint8_t scope_spans[200050];
    uint8_t *p = sm_pb_put_bytes(scope_spans, 2, r->span, r->span_size);
    size_t scope_size = (size_t)(p - scope_spans);
    static uint8_t resource_spans[200080];
    p = sm_pb_put_bytes(resource_spans, 2, scope_spans, scope_size);
    size_t resource_size = (size_t)(p - resource_spans);
    r->size = (size_t)(sm_pb_put_bytes(r->bytes, 1, resource_spans, resource_size) - r->bytes);
    return decode(r->bytes, r->size);
}

Test(otlp_proto, wanted_attributes_leave_records_and_errors_are_seen)
{
    struct request *r = request_new();
    add_string(r, "http.route", "/x");
    add_string(r, "peer.service", "cart");
    add_string(r, "peer.service", "second does not count");
    add_string(r, "error", "");
    uint8_t priority[] = {0x18, 1};
    add_attribute(r, "sampling.priority", priority, sizeof priority);
    cr_assert_eq(decode_request(r), SM_OK);
    const struct sm_span *s = sm_batch_span(&batch, 0);
    cr_assert_eq(s->n_wanted, 3);
    struct sm_value v;
    cr_assert(sm_span_value(s, sm_batch_bytes(&batch, 0), SM_SLOT_PEER_SERVICE, &v));
    cr_assert(sm_str_eq(v.bytes, SM_STR("cart")));
    cr_assert_eq(s->flags & (SM_SPAN_ERROR | SM_SPAN_ERROR_TAG | SM_SPAN_PRIORITY),
                 SM_SPAN_ERROR | SM_SPAN_ERROR_TAG | SM_SPAN_PRIORITY);
    cr_assert_eq(s->flags & SM_SPAN_NO_START, SM_SPAN_NO_START);
    free(r);
}

Test(otlp_proto, limits_refuse_the_span_alone)
{
    struct request *r = request_new();
    add_string(r, "key", "bad \xff utf-8");
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.count, 0);
    cr_assert_eq(batch.rejected[SM_REJECT_UTF8], 1);
    free(r);

    r = request_new();
    for (int i = 0; i < 1025; i++)
        add_string(r, "k", "v");
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.rejected[SM_REJECT_ATTRIBUTES], 1);
    free(r);

    r = request_new();
    uint8_t *any = calloc(1, 70000);
    memset(any, 'a', 70000);
    uint8_t *big = malloc(70010);
    size_t big_size = (size_t)(sm_pb_put_bytes(big, 1, any, 65537) - big);
    add_attribute(r, "k", big, big_size);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.rejected[SM_REJECT_VALUE_SIZE], 1);
    free(any);
    free(big);
    free(r);

    r = request_new();
    uint8_t nested[1000], next[1000];
    size_t n = 0;
    for (int i = 0; i < 40; i++) { /* array in array in array ... */
        size_t inner = (size_t)(sm_pb_put_bytes(next, 1, nested, n) - next);
        n = (size_t)(sm_pb_put_bytes(nested, 5, next, inner) - nested);
    }
    add_attribute(r, "deep", nested, n);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.rejected[SM_REJECT_DEPTH], 1);
    cr_assert_eq(batch.rejected_total, 1);
    free(r);
}

Test(otlp_proto, ids_of_wrong_length_refuse_the_span)
{
    struct request *r = request_new();
    add_bytes(r, SM_OTLP_PARENT_SPAN_ID, "1234567", 7);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.rejected[SM_REJECT_PARENT_ID], 1);
    free(r);
    r = request_new();
    add_bytes(r, SM_OTLP_SPAN_ID, "", 0);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.rejected[SM_REJECT_SPAN_ID], 1);
    free(r);
    r = request_new();
    add_bytes(r, SM_OTLP_TRACE_ID, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.rejected[SM_REJECT_TRACE_ID], 1);
    free(r);
}

Test(otlp_proto, private_field_of_transcoded_spans_sets_header_bits)
{
    struct request *r = request_new();
    const struct sm_private priv = {.origin = SM_ORIGIN_ZIPKIN_V2, .flags = SM_PRIVATE_SHARED | SM_PRIVATE_ID64, .duration_ns = 5000};
    r->span_size = (size_t)(sm_private_put(r->span + r->span_size, &priv) - r->span);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(batch.count, 1);
    cr_assert_eq(sm_batch_span(&batch, 0)->flags, SM_SPAN_PRIVATE | SM_SPAN_SHARED | SM_SPAN_ID64 | SM_SPAN_NO_START);
    cr_assert_eq(sm_batch_span(&batch, 0)->duration_ns, 5000);
    struct sm_private read;
    cr_assert(sm_private_read(sm_batch_span(&batch, 0), sm_batch_bytes(&batch, 0), &read));
    cr_assert_eq(read.flags, priv.flags);
    add_bytes(r, SM_PRIVATE_FIELD, "\xff", 1);
    cr_assert_eq(decode_request(r), SM_OK, "a malformed one is passed over");
    cr_assert_eq(batch.count, 1);
    cr_assert(sm_private_read(sm_batch_span(&batch, 0), sm_batch_bytes(&batch, 0), &read));
    free(r);
}

Test(otlp_proto, private_field_with_a_long_form_of_its_length)
{
    static const uint8_t field[] = {0xaa, 0x7b, 0x84, 0x80, 0x00, 0x08, SM_ORIGIN_ZIPKIN_V1, 0x28, 0x07}; /* length 4 in three bytes */
    struct request *r = request_new();
    struct sm_private read;
    memcpy(r->span + r->span_size, field, sizeof field);
    r->span_size += sizeof field;
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert(sm_private_read(sm_batch_span(&batch, 0), sm_batch_bytes(&batch, 0), &read));
    cr_assert_eq(read.origin, SM_ORIGIN_ZIPKIN_V1);
    cr_assert_eq(read.local.port, 7);
    free(r);
}

Test(otlp_proto, private_field_of_other_formats_has_no_side_record)
{
    struct request *r = request_new();
    const struct sm_private priv = {.origin = SM_ORIGIN_JAEGER, .jaeger_flags = 1};
    struct sm_private read;
    r->span_size = (size_t)(sm_private_put(r->span + r->span_size, &priv) - r->span);
    cr_assert_eq(decode_request(r), SM_OK);
    cr_assert_eq(sm_batch_span(&batch, 0)->n_wanted, 0);
    cr_assert_not(sm_private_read(sm_batch_span(&batch, 0), sm_batch_bytes(&batch, 0), &read));
    free(r);
}
