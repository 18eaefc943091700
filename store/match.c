/* Verifying a query against the spans of a trace. */
#include "store/match.h"
#include "base/pb.h"
#include "span/attr.h"

/* Field numbers of trace.proto and resource.proto. */
enum { RESOURCE_ATTRIBUTES = 1, SCOPE_NAME = 1, SCOPE_VERSION = 2, SCOPE_ATTRIBUTES = 3 };
enum { EVENT_NAME = 2, EVENT_ATTRIBUTES = 3, LINK_ATTRIBUTES = 4, STATUS_MESSAGE = 2, STATUS_CODE = 3 };

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool equal_folded(struct sm_str a, struct sm_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.ptr[i]) != fold(b.ptr[i]))
            return false;
    }
    return true;
}

bool sm_match_name(struct sm_str a, struct sm_str b, bool fold_case)
{
    return fold_case ? equal_folded(a, b) : sm_str_eq(a, b);
}

/* ---- terms ---- */

static bool value_equals(struct sm_matcher *m, const struct sm_value *value, struct sm_str wanted)
{
    if (value->type == SM_VALUE_STRING)
        return sm_str_eq(value->bytes, wanted);
    sm_buf_clear(&m->text);
    sm_value_text(value, &m->text);
    return sm_str_eq(sm_buf_str(&m->text), wanted);
}

/* Any attribute of the message with the key and, unless any value will do, the value. */
static bool attributes_have(struct sm_matcher *m, struct sm_str message, uint32_t field, struct sm_str key,
                            const struct sm_store_term *term)
{
    struct sm_attr_iter it = sm_attr_iter(message.ptr, message.len, field);
    struct sm_str k;
    struct sm_value value;
    while (sm_attr_next(&it, &k, &value)) {
        if (sm_str_eq(k, key) && (term->any_value || value_equals(m, &value, term->value)))
            return true;
    }
    return false;
}

static bool event_meets(struct sm_matcher *m, struct sm_str event, const struct sm_store_term *term)
{
    struct sm_str name = sm_pb_last_bytes(event, EVENT_NAME);
    if (term->any_value && sm_str_eq(name, term->key))
        return true;
    if (sm_str_eq(term->key, SM_STR("event")) && (term->any_value || sm_str_eq(name, term->value)))
        return true;
    return attributes_have(m, event, EVENT_ATTRIBUTES, term->key, term);
}

/* Attributes of the span, its events and its links. */
static bool span_meets(struct sm_matcher *m, struct sm_str span, const struct sm_store_term *term)
{
    const uint8_t *p = (const uint8_t *)span.ptr, *end = sm_pb_end(p, span.len);
    struct sm_pb_field f;
    if (attributes_have(m, span, SM_OTLP_ATTRIBUTES, term->key, term))
        return true;
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire != SM_PB_BYTES)
            continue;
        struct sm_str message = sm_str(f.bytes, f.size);
        if (f.number == SM_OTLP_EVENTS && event_meets(m, message, term))
            return true;
        if (f.number == SM_OTLP_LINKS && attributes_have(m, message, LINK_ATTRIBUTES, term->key, term))
            return true;
    }
    return false;
}

static bool text_meets(const struct sm_store_term *term, struct sm_str text, bool any_case)
{
    return text.len && (term->any_value || sm_match_name(text, term->value, any_case));
}

static enum sm_status status_of(struct sm_str span, struct sm_str *message)
{
    struct sm_str status = sm_pb_last_bytes(span, SM_OTLP_STATUS);
    const uint8_t *p = (const uint8_t *)status.ptr, *end = sm_pb_end(p, status.len);
    struct sm_pb_field f = {0};
    uint64_t code = 0;
    *message = (struct sm_str){NULL, 0};
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == STATUS_CODE && f.wire == SM_PB_VARINT)
            code = f.value;
        else if (f.number == STATUS_MESSAGE && f.wire == SM_PB_BYTES)
            *message = sm_str(f.bytes, f.size);
    }
    return code <= SM_STATUS_ERROR ? (enum sm_status)code : SM_STATUS_UNSET;
}

static bool key_is(const struct sm_store_term *term, const char *a, const char *b, const char *c)
{
    return sm_str_eq(term->key, sm_str_c(a)) || (b && sm_str_eq(term->key, sm_str_c(b))) ||
           (c && sm_str_eq(term->key, sm_str_c(c)));
}

/* Zipkin's form of a failed span has the status's message as its tag `error`. */
static bool error_meets(const struct sm_store_span *span, const struct sm_store_term *term)
{
    struct sm_str message;
    if (term->any_value)
        return span->error;
    if (sm_str_eq(term->value, span->error ? SM_STR("true") : SM_STR("false")))
        return true;
    status_of(span->encode.bytes, &message);
    return span->error && text_meets(term, message, false);
}

/* Keys that stand for something other than an attribute. */
static bool special_meets(const struct sm_store_span *span, const struct sm_store_term *term)
{
    struct sm_str bytes = span->encode.bytes, message;
    if (key_is(term, "error", NULL, NULL))
        return error_meets(span, term);
    if (key_is(term, "span.kind", NULL, NULL))
        return text_meets(term, sm_str_c(sm_kind_name((enum sm_kind)span->kind)), true);
    if (key_is(term, "span.status", "otel.status_code", NULL))
        return text_meets(term, sm_str_c(sm_status_name(status_of(bytes, &message))), true);
    if (key_is(term, "otel.status_description", NULL, NULL)) {
        status_of(bytes, &message);
        return text_meets(term, message, false);
    }
    if (key_is(term, "w3c.tracestate", NULL, NULL))
        return text_meets(term, sm_pb_last_bytes(bytes, SM_OTLP_TRACE_STATE), false);
    if (key_is(term, "scope.name", "otel.scope.name", "otel.library.name"))
        return text_meets(term, sm_pb_last_bytes(span->encode.scope, SCOPE_NAME), false);
    if (key_is(term, "scope.version", "otel.scope.version", "otel.library.version"))
        return text_meets(term, sm_pb_last_bytes(span->encode.scope, SCOPE_VERSION), false);
    return false;
}

static bool resource_key(struct sm_str key, struct sm_str *rest)
{
    static const char prefix[] = "resource.";
    size_t n = sizeof prefix - 1;
    if (key.len <= n || memcmp(key.ptr, prefix, n) != 0)
        return false;
    *rest = sm_str(key.ptr + n, key.len - n);
    return true;
}

static bool term_met(struct sm_matcher *m, const struct sm_store_span *span, const struct sm_store_term *term)
{
    const struct sm_encode_span *e = &span->encode;
    struct sm_str rest;
    return special_meets(span, term) || span_meets(m, e->bytes, term) ||
           attributes_have(m, e->resource, RESOURCE_ATTRIBUTES, term->key, term) ||
           attributes_have(m, e->scope, SCOPE_ATTRIBUTES, term->key, term) ||
           (resource_key(term->key, &rest) && attributes_have(m, e->resource, RESOURCE_ATTRIBUTES, rest, term));
}

/* ---- conditions ---- */

static bool duration_met(const struct sm_store_query *q, uint64_t duration_ns)
{
    return duration_ns >= q->duration_min_ns && (!q->duration_max_ns || duration_ns <= q->duration_max_ns);
}

static bool start_met(const struct sm_store_query *q, uint64_t start_ns)
{
    if (!q->start_min_ns && !q->start_max_ns)
        return true;
    return start_ns && start_ns >= q->start_min_ns && (!q->start_max_ns || start_ns <= q->start_max_ns);
}

static bool name_met(const struct sm_store_query *q, struct sm_str wanted, struct sm_str name)
{
    return !wanted.len || sm_match_name(wanted, name, q->fold_case);
}

static bool kind_met(const struct sm_store_query *q, uint8_t kind)
{
    return q->kind == SM_STORE_KIND_ANY || q->kind == kind;
}

static bool whole_span_meets(struct sm_matcher *m, const struct sm_store_span *span)
{
    const struct sm_store_query *q = m->query;
    if (!name_met(q, q->service, span->service) || !name_met(q, q->operation, span->name) ||
        !name_met(q, q->remote_service, span->remote_service) || !kind_met(q, span->kind) ||
        !duration_met(q, span->duration_ns) || !start_met(q, span->start_ns) || (q->error_only && !span->error))
        return false;
    for (uint32_t i = 0; i < q->term_count; i++) {
        if (!term_met(m, span, &q->terms[i]))
            return false;
    }
    return true;
}

static enum sm_match_result match_any_span(struct sm_matcher *m, const struct sm_encode_span *spans, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sm_store_span span;
        sm_store_describe(&spans[i], &span);
        if (whole_span_meets(m, &span))
            return SM_MATCH_YES;
    }
    return SM_MATCH_NO;
}

/* What a trace still has to show, for SM_STORE_MATCH_TRACE. */
struct missing {
    uint64_t terms; /* bit per term */
    bool service, operation, remote_service, kind, duration, error;
};

static struct missing all_missing(const struct sm_store_query *q)
{
    return (struct missing){.terms = q->term_count == 64 ? UINT64_MAX : (UINT64_C(1) << q->term_count) - 1,
                            .service = q->service.len > 0,
                            .operation = q->operation.len > 0,
                            .remote_service = q->remote_service.len > 0,
                            .kind = q->kind != SM_STORE_KIND_ANY,
                            .duration = q->duration_min_ns || q->duration_max_ns,
                            .error = q->error_only};
}

static bool nothing_missing(const struct missing *x)
{
    return !x->terms && !x->service && !x->operation && !x->remote_service && !x->kind && !x->duration && !x->error;
}

static void strike_off(struct sm_matcher *m, const struct sm_store_span *span, struct missing *x)
{
    const struct sm_store_query *q = m->query;
    if (!name_met(q, q->service, span->service))
        return;
    x->service = false;
    x->operation = x->operation && !name_met(q, q->operation, span->name);
    x->remote_service = x->remote_service && !name_met(q, q->remote_service, span->remote_service);
    x->kind = x->kind && !kind_met(q, span->kind);
    x->duration = x->duration && !duration_met(q, span->duration_ns);
    x->error = x->error && !span->error;
    for (uint32_t i = 0; i < q->term_count; i++) {
        if (x->terms >> i & 1 && term_met(m, span, &q->terms[i]))
            x->terms &= ~(UINT64_C(1) << i);
    }
}

/* The time of a trace: start of the first span without parent that has one, else the earliest. */
struct trace_time {
    uint64_t start_ns;
    bool of_root;
};

static void note_time(struct trace_time *t, const struct sm_store_span *span)
{
    if (!span->start_ns || t->of_root)
        return;
    if (!span->parent_id || !t->start_ns || span->start_ns < t->start_ns)
        t->start_ns = span->start_ns;
    t->of_root = !span->parent_id;
}

static enum sm_match_result match_whole_trace(struct sm_matcher *m, const struct sm_encode_span *spans, uint32_t count)
{
    struct missing missing = all_missing(m->query);
    struct trace_time time = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct sm_store_span span;
        sm_store_describe(&spans[i], &span);
        note_time(&time, &span);
        strike_off(m, &span, &missing);
    }
    if (!nothing_missing(&missing))
        return missing.service ? SM_MATCH_NO : SM_MATCH_SOME;
    return start_met(m->query, time.start_ns) ? SM_MATCH_YES : SM_MATCH_SOME;
}

enum sm_match_result sm_match_trace(struct sm_matcher *m, const struct sm_encode_span *spans, uint32_t count)
{
    return m->query->match == SM_STORE_MATCH_SPAN ? match_any_span(m, spans, count) : match_whole_trace(m, spans, count);
}
