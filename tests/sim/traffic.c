/* From a seed to spans and payloads. */
#include "sim.h"

#include "base/pb.h"
#include "span/attr.h"
#include "span/codec/codec.h"

#include <stdlib.h>

enum { PAYLOAD_SPANS_MAX = 400, NAMES = 4 };

void sim_service_name(const struct sim_traffic *t, const struct sim_span *s, char out[32])
{
    *out = '\0';
    if (s->service >= 0)
        snprintf(out, 32, "p%us%d", t->traces[s->trace].pool, s->service);
}

void sim_peer_name(const struct sim_traffic *t, const struct sim_span *s, char out[32])
{
    *out = '\0';
    if (s->peer >= 0)
        snprintf(out, 32, "p%ux%d", t->traces[s->trace].pool, s->peer);
}

void sim_span_name(const struct sim_span *s, char out[32])
{
    snprintf(out, 32, "op%u", s->name);
}

/* ---- A span in its format ---- */

static void put_bytes(struct sm_buf *out, uint32_t field, const void *bytes, size_t size)
{
    sm_buf_reserve(out, sm_pb_bytes_size(field, size));
    out->size = (size_t)(sm_pb_put_bytes(out->data + out->size, field, bytes, size) - out->data);
}

static void put_fixed64(struct sm_buf *out, uint32_t field, uint64_t v)
{
    sm_buf_reserve(out, 16);
    out->size = (size_t)(sm_pb_put_fixed64(out->data + out->size, field, v) - out->data);
}

static void put_uint(struct sm_buf *out, uint32_t field, uint64_t v)
{
    sm_buf_reserve(out, 24);
    out->size = (size_t)(sm_pb_put_uint(out->data + out->size, field, v) - out->data);
}

static void put_attribute(struct sm_buf *out, uint32_t field, const char *key, const char *value, size_t size)
{
    struct sm_buf any = {0}, pair = {0};
    put_bytes(&any, 1, value, size);
    put_bytes(&pair, 1, key, strlen(key));
    put_bytes(&pair, 2, any.data, any.size);
    put_bytes(out, field, pair.data, pair.size);
    sm_buf_fini(&any);
    sm_buf_fini(&pair);
}

static void filler_text(const struct sim_span *s, char *out)
{
    for (unsigned i = 0; i < s->filler; i++)
        out[i] = (char)('a' + (i + s->span_id + s->variant) % 26);
}

static void write_proto(const struct sim_traffic *t, struct sim_span *s)
{
    struct sm_buf *out = &s->wire;
    char text[32], filler[4096];
    uint8_t id[16];
    sm_store_be64(id, s->id.hi);
    sm_store_be64(id + 8, s->id.lo);
    put_bytes(out, SM_OTLP_TRACE_ID, id, 16);
    sm_store_be64(id, s->span_id);
    put_bytes(out, SM_OTLP_SPAN_ID, id, 8);
    if (s->tracestate)
        put_bytes(out, SM_OTLP_TRACE_STATE, s->tracestate, strlen(s->tracestate));
    sm_store_be64(id, s->parent_id);
    if (s->parent_id)
        put_bytes(out, SM_OTLP_PARENT_SPAN_ID, id, 8);
    sim_span_name(s, text);
    put_bytes(out, SM_OTLP_NAME, text, strlen(text));
    put_uint(out, SM_OTLP_KIND, s->kind);
    put_fixed64(out, SM_OTLP_START, s->start_ns);
    put_fixed64(out, SM_OTLP_END, s->start_ns + s->duration_ns);
    sim_peer_name(t, s, text);
    if (*text)
        put_attribute(out, SM_OTLP_ATTRIBUTES, "peer.service", text, strlen(text));
    if (s->error_tag)
        put_attribute(out, SM_OTLP_ATTRIBUTES, "error", "timeout", 7);
    filler_text(s, filler);
    if (s->filler)
        put_attribute(out, SM_OTLP_ATTRIBUTES, "filler", filler, s->filler);
    if (s->status) {
        struct sm_buf status = {0};
        put_uint(&status, 3, s->status);
        put_bytes(out, SM_OTLP_STATUS, status.data, status.size);
        sm_buf_fini(&status);
    }
    if (s->span_id % 7 == 0) /* a field of a later version of the format */
        put_uint(out, 999, s->span_id);
}

static void write_json(const struct sim_traffic *t, struct sim_span *s)
{
    struct sm_buf *out = &s->wire;
    char text[32], filler[4096];
    sim_span_name(s, text);
    sm_buf_printf(out, "{\"traceId\":\"%016llx%016llx\",\"spanId\":\"%016llx\",\"name\":\"%s\",\"kind\":%u",
                  (unsigned long long)s->id.hi, (unsigned long long)s->id.lo, (unsigned long long)s->span_id, text,
                  (unsigned)s->kind);
    if (s->parent_id)
        sm_buf_printf(out, ",\"parentSpanId\":\"%016llx\"", (unsigned long long)s->parent_id);
    if (s->tracestate)
        sm_buf_printf(out, ",\"traceState\":\"%s\"", s->tracestate);
    sm_buf_printf(out, ",\"startTimeUnixNano\":\"%llu\",\"endTimeUnixNano\":\"%llu\",\"attributes\":[",
                  (unsigned long long)s->start_ns, (unsigned long long)(s->start_ns + s->duration_ns));
    filler_text(s, filler);
    sm_buf_printf(out, "{\"key\":\"filler\",\"value\":{\"stringValue\":\"%.*s\"}}", (int)s->filler, filler);
    sim_peer_name(t, s, text);
    if (*text)
        sm_buf_printf(out, ",{\"key\":\"peer.service\",\"value\":{\"stringValue\":\"%s\"}}", text);
    if (s->error_tag)
        sm_buf_puts(out, ",{\"key\":\"error\",\"value\":{\"stringValue\":\"timeout\"}}");
    sm_buf_printf(out, "],\"status\":{\"code\":%u}}", (unsigned)s->status);
}

static void write_zipkin(const struct sim_traffic *t, struct sim_span *s)
{
    static const char *const kinds[] = {NULL, NULL, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    struct sm_buf *out = &s->wire;
    char text[32], filler[4096];
    sim_span_name(s, text);
    if (s->id.hi)
        sm_buf_printf(out, "{\"traceId\":\"%016llx%016llx\"", (unsigned long long)s->id.hi, (unsigned long long)s->id.lo);
    else
        sm_buf_printf(out, "{\"traceId\":\"%llx\"", (unsigned long long)s->id.lo);
    sm_buf_printf(out, ",\"id\":\"%016llx\",\"name\":\"%s\",\"timestamp\":%llu", (unsigned long long)s->span_id, text,
                  (unsigned long long)s->start_ns / 1000);
    if (s->duration_ns)
        sm_buf_printf(out, ",\"duration\":%llu", (unsigned long long)s->duration_ns / 1000);
    if (s->parent_id)
        sm_buf_printf(out, ",\"parentId\":\"%llx\"", (unsigned long long)s->parent_id);
    if (kinds[s->kind])
        sm_buf_printf(out, ",\"kind\":\"%s\"", kinds[s->kind]);
    sim_service_name(t, s, text);
    if (*text || s->address) {
        sm_buf_printf(out, ",\"localEndpoint\":{\"serviceName\":\"%s\"", text);
        if (s->address)
            sm_buf_printf(out, ",\"ipv4\":\"10.0.0.%u\"", s->address);
        sm_buf_putc(out, '}');
    }
    sim_peer_name(t, s, text);
    if (*text)
        sm_buf_printf(out, ",\"remoteEndpoint\":{\"serviceName\":\"%s\"}", text);
    filler_text(s, filler);
    sm_buf_printf(out, ",\"tags\":{\"filler\":\"%.*s\"%s}", (int)s->filler, filler,
                  s->error_tag ? ",\"error\":\"timeout\"" : "");
    sm_buf_printf(out, "%s%s}", s->shared ? ",\"shared\":true" : "", s->debug ? ",\"debug\":true" : "");
}

/* ---- Payloads ---- */

static void put_resource(const struct sim_traffic *t, const struct sim_span *s, struct sm_buf *out)
{
    char service[32];
    sim_service_name(t, s, service);
    if (*service)
        put_attribute(out, 1, "service.name", service, strlen(service));
}

static bool same_service(const struct sim_traffic *t, uint32_t a, uint32_t b)
{
    return t->traces[t->spans[a].trace].pool == t->traces[t->spans[b].trace].pool &&
           t->spans[a].service == t->spans[b].service;
}

static void put_proto_run(const struct sim_traffic *t, const uint32_t *spans, uint32_t n, struct sm_buf *out)
{
    struct sm_buf resource = {0}, members = {0}, group = {0};
    put_resource(t, &t->spans[spans[0]], &resource);
    for (uint32_t i = 0; i < n; i++)
        put_bytes(&members, 2, t->spans[spans[i]].wire.data, t->spans[spans[i]].wire.size);
    put_bytes(&group, 1, resource.data, resource.size);
    put_bytes(&group, 2, members.data, members.size);
    put_bytes(out, 1, group.data, group.size);
    sm_buf_fini(&resource);
    sm_buf_fini(&members);
    sm_buf_fini(&group);
}

static void put_json_run(const struct sim_traffic *t, const uint32_t *spans, uint32_t n, struct sm_buf *out)
{
    char service[32];
    sim_service_name(t, &t->spans[spans[0]], service);
    sm_buf_puts(out, "{\"resource\":{\"attributes\":[");
    if (*service)
        sm_buf_printf(out, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"%s\"}}", service);
    sm_buf_puts(out, "]},\"scopeSpans\":[{\"spans\":[");
    for (uint32_t i = 0; i < n; i++) {
        sm_buf_puts(out, i ? "," : "");
        sm_buf_put_str(out, sm_buf_str(&t->spans[spans[i]].wire));
    }
    sm_buf_puts(out, "]}]}");
}

static void write_body(const struct sim_traffic *t, enum sim_format format, const uint32_t *spans, uint32_t n,
                       struct sm_buf *out)
{
    if (format == SIM_ZIPKIN) {
        for (uint32_t i = 0; i < n; i++) {
            sm_buf_putc(out, i ? ',' : '[');
            sm_buf_put_str(out, sm_buf_str(&t->spans[spans[i]].wire));
        }
        sm_buf_puts(out, n ? "]" : "[]");
        return;
    }
    if (format == SIM_JSON)
        sm_buf_puts(out, "{\"resourceSpans\":[");
    for (uint32_t at = 0; at < n;) {
        uint32_t run = 1;
        while (at + run < n && same_service(t, spans[at], spans[at + run]))
            run++;
        if (format == SIM_JSON) {
            sm_buf_puts(out, at ? "," : "");
            put_json_run(t, spans + at, run, out);
        } else {
            put_proto_run(t, spans + at, run, out);
        }
        at += run;
    }
    if (format == SIM_JSON)
        sm_buf_puts(out, "]}");
}

/* What the codec makes of the span alone: its canonical bytes and head. */
static void read_back(const struct sim_traffic *t, struct sim_span *s, struct sm_decoder *d)
{
    static const struct sm_codec *const codecs[] = {&sm_codec_otlp_proto, &sm_codec_otlp_json, &sm_codec_zipkin_json};
    struct sm_buf body = {0};
    struct sm_batch batch = {0};
    struct sm_err err = {0};
    uint32_t index = (uint32_t)(s - t->spans);
    write_body(t, s->format, &index, 1, &body);
    struct sm_payload *p = sm_payload_new(d->pool, body.size);
    memcpy(p->data, body.data, body.size);
    p->size = body.size;
    if (codecs[s->format]->decode(d, p, &batch, &err) != SM_OK || batch.count != 1) {
        fprintf(stderr, "a made span is not read: %s %s\n%.*s\n", err.text, batch.reject_text, (int)body.size, body.data);
        abort();
    }
    s->head = *sm_batch_span(&batch, 0);
    s->bytes = sm_xmalloc(s->head.size);
    memcpy(s->bytes, sm_batch_bytes(&batch, 0), s->head.size);
    if (s->format == SIM_PROTO)
        SM_ASSERT(s->head.size == s->wire.size && memcmp(s->bytes, s->wire.data, s->head.size) == 0);
    sm_payload_put(p);
    sm_batch_fini(&batch);
    sm_buf_fini(&body);
}

static void write_spans(struct sim_traffic *t)
{
    struct sm_wanted *wanted = sm_wanted_new(1);
    struct sm_decoder d = {.names = sm_names_new(1000, 1 << 20), .wanted = wanted, .limits = sm_codec_limits_default};
    d.names_cache = sm_names_cache_new(d.names);
    struct sm_scopes *scopes = sm_scopes_new(d.names, 1000, 1 << 20);
    d.scopes = sm_scopes_cache_new(scopes, d.names_cache);
    d.pool = sm_payload_pool_new(1 << 20);
    for (uint32_t i = 0; i < t->span_count; i++) {
        struct sim_span *s = &t->spans[i];
        if (s->format == SIM_PROTO)
            write_proto(t, s);
        else if (s->format == SIM_JSON)
            write_json(t, s);
        else
            write_zipkin(t, s);
        read_back(t, s, &d);
    }
    sm_payload_pool_free(d.pool);
    sm_scopes_cache_free(d.scopes);
    sm_scopes_free(scopes);
    sm_names_cache_free(d.names_cache);
    sm_names_free(d.names);
    sm_wanted_free(wanted);
}

static struct sim_payload *add_payload(struct sim_traffic *t, enum sim_format format, int64_t at_ns)
{
    t->payloads = sm_xrealloc(t->payloads, (t->payload_count + 1) * sizeof *t->payloads);
    struct sim_payload *p = &t->payloads[t->payload_count++];
    *p = (struct sim_payload){.at_ns = at_ns, .format = format};
    return p;
}

/* One more span without an id, which is to be refused alone. */
static void add_bad_span(struct sim_payload *p)
{
    static const uint8_t span[] = {0x0a, 3, 1, 2, 3};
    struct sm_buf scope = {0}, group = {0};
    if (p->format != SIM_PROTO)
        return;
    put_bytes(&scope, 2, span, sizeof span);
    put_bytes(&group, 2, scope.data, scope.size);
    put_bytes(&p->body, 1, group.data, group.size);
    p->rejected++;
    sm_buf_fini(&scope);
    sm_buf_fini(&group);
}

static void close_payload(struct sim_traffic *t, struct sim_random *r, enum sim_format format, const uint32_t *spans,
                          uint32_t n, int64_t at_ns)
{
    if (sim_percent(r, 3) && n) { /* a broken copy goes before it */
        struct sim_payload *bad = add_payload(t, format, at_ns);
        bad->malformed = true;
        write_body(t, format, spans, n, &bad->body);
        bad->body.size--;
    }
    struct sim_payload *p = add_payload(t, format, at_ns);
    p->spans = sm_xmalloc((n + 1) * sizeof *p->spans);
    if (n)
        memcpy(p->spans, spans, n * sizeof *p->spans);
    p->count = n;
    write_body(t, format, spans, n, &p->body);
    if (sim_percent(r, 5))
        add_bad_span(p);
}

static const struct sim_span *sorting;

static int compare_wishes(const void *x, const void *y)
{
    const struct sim_span *a = &sorting[*(const uint32_t *)x], *b = &sorting[*(const uint32_t *)y];
    return a->wish_ns != b->wish_ns ? (a->wish_ns < b->wish_ns ? -1 : 1) : (a > b) - (a < b);
}

/* Exporters: one per format, each sends when it has enough or has waited. */
struct exporter {
    uint32_t spans[PAYLOAD_SPANS_MAX], count, goal;
    int64_t since_ns;
};

static void export_spans(struct sim_traffic *t, struct sim_random *r, enum sim_format format, struct exporter *e,
                         int64_t now_ns)
{
    if (e->count)
        close_payload(t, r, format, e->spans, e->count, now_ns);
    e->count = 0;
    e->goal = (uint32_t)(sim_percent(r, 10) ? sim_between(r, 1, PAYLOAD_SPANS_MAX) : sim_between(r, 1, 20));
}

static void make_payloads(struct sim_traffic *t, struct sim_random *r)
{
    uint32_t *order = sm_xmalloc((t->span_count + 1) * sizeof *order);
    struct exporter exporters[SIM_FORMATS] = {{.goal = 1}, {.goal = 1}, {.goal = 1}};
    int64_t now_ns = SIM_START_NS, patience_ns = (int64_t)sim_between(r, 0, 2000) * SM_MS;
    for (uint32_t i = 0; i < t->span_count; i++)
        order[i] = i;
    sorting = t->spans;
    qsort(order, t->span_count, sizeof *order, compare_wishes);
    for (uint32_t i = 0; i < t->span_count; i++) {
        const struct sim_span *s = &t->spans[order[i]];
        now_ns = s->wish_ns;
        for (unsigned f = 0; f < SIM_FORMATS; f++)
            if (exporters[f].count && now_ns - exporters[f].since_ns > patience_ns)
                export_spans(t, r, (enum sim_format)f, &exporters[f], now_ns);
        struct exporter *e = &exporters[s->format];
        if (!e->count)
            e->since_ns = now_ns;
        e->spans[e->count++] = order[i];
        if (e->count >= e->goal)
            export_spans(t, r, s->format, e, now_ns);
    }
    for (unsigned f = 0; f < SIM_FORMATS; f++)
        export_spans(t, r, (enum sim_format)f, &exporters[f], now_ns);
    free(order);
}

/* ---- Traces ---- */

static struct sim_span *add_span(struct sim_traffic *t)
{
    if (t->span_count == t->span_capacity) {
        t->span_capacity = t->span_capacity ? t->span_capacity * 2 : 1024;
        t->spans = sm_xrealloc(t->spans, t->span_capacity * sizeof *t->spans);
    }
    t->spans[t->span_count] = (struct sim_span){.peer = -1};
    return &t->spans[t->span_count++];
}

static unsigned trace_size(struct sim_random *r)
{
    if (sim_percent(r, 3))
        return (unsigned)sim_between(r, 60, 300);
    return (unsigned)(sim_percent(r, 20) ? sim_between(r, 10, 60) : sim_between(r, 1, 10));
}

/* How a trace speaks. */
struct manner {
    bool mixed; /* each service in its own format */
    enum sim_format format;
    bool b3; /* server halves share their client's id */
    bool id64;
    bool wild; /* kinds and parents at random */
    const char *tracestate;
    unsigned error_percent;
};

static struct manner make_manner(struct sim_random *r)
{
    static const char *const states[] = {"ot=th:8", "ot=rv:80000000000001", "vendor=x,ot=th:4;rv:ffffffffffffff", "a=b"};
    struct manner m = {
        .mixed = sim_percent(r, 30),
        .format = (enum sim_format)sim_below(r, SIM_FORMATS),
        .b3 = sim_percent(r, 30),
        .id64 = sim_percent(r, 20),
        .wild = sim_percent(r, 15),
        .tracestate = sim_percent(r, 20) ? states[sim_below(r, SM_ARRAY_LEN(states))] : NULL,
        .error_percent = (unsigned)(sim_percent(r, 60) ? 0 : sim_between(r, 1, 60)),
    };
    return m;
}

static void call_from(struct sim_span *s, const struct sim_span *parent, const struct manner *m, struct sim_random *r)
{
    s->parent_id = parent->span_id;
    s->service = parent->service;
    s->kind = (enum sm_kind)sim_between(r, SM_KIND_UNSPECIFIED, SM_KIND_CONSUMER);
    if (m->wild || sim_percent(r, 5)) {
        s->service = (int)sim_below(r, SIM_POOL_SERVICES + 1) - 1;
        return;
    }
    if (parent->kind == SM_KIND_CLIENT || parent->kind == SM_KIND_PRODUCER) {
        s->kind = parent->kind == SM_KIND_CLIENT ? SM_KIND_SERVER : SM_KIND_CONSUMER;
        s->service = (int)sim_below(r, SIM_POOL_SERVICES);
        if (m->b3 && s->kind == SM_KIND_SERVER) {
            s->span_id = parent->span_id;
            s->parent_id = parent->parent_id;
            s->shared = sim_percent(r, 90);
        }
    } else {
        static const enum sm_kind kinds[] = {SM_KIND_CLIENT, SM_KIND_CLIENT, SM_KIND_INTERNAL, SM_KIND_PRODUCER};
        s->kind = kinds[sim_below(r, SM_ARRAY_LEN(kinds))];
    }
}

static void dress(struct sim_span *s, const struct manner *m, struct sim_random *r)
{
    s->format = m->mixed ? (enum sim_format)((unsigned)(s->service + 1) % SIM_FORMATS) : m->format;
    if (s->format == SIM_ZIPKIN) {
        s->debug = sim_percent(r, 1);
        s->address = sim_percent(r, 20) ? (uint8_t)sim_between(r, 1, 3) : 0;
        if (s->kind == SM_KIND_INTERNAL)
            s->kind = SM_KIND_UNSPECIFIED;
        if (m->id64)
            s->id.hi = 0;
        s->status = SM_STATUS_UNSET;
    } else {
        s->shared = false;
        s->tracestate = m->tracestate;
        s->status = sim_percent(r, m->error_percent) ? SM_STATUS_ERROR : sim_percent(r, 20) ? SM_STATUS_OK : SM_STATUS_UNSET;
    }
    s->error_tag = sim_percent(r, m->error_percent);
    s->peer = sim_percent(r, 30) ? (int)sim_below(r, SIM_POOL_PEERS) : -1;
    s->name = (unsigned)sim_below(r, NAMES);
    s->filler = (unsigned)(sim_percent(r, 5) ? sim_below(r, 3000) : sim_below(r, 80));
    s->duration_ns = sim_percent(r, 3) ? 0 : sim_between(r, 1, sim_percent(r, 10) ? 500000 : 30000) * 1000;
}

static void make_span(struct sim_traffic *t, struct sim_random *r, const struct manner *m, uint32_t first, uint64_t start_ns)
{
    uint32_t trace = t->trace_count - 1, before = t->span_count - first;
    struct sim_span *s = add_span(t);
    s->trace = trace;
    s->id = t->traces[trace].id;
    s->span_id = sim_next(r) | 1;
    s->service = (int)sim_below(r, SIM_POOL_SERVICES);
    s->kind = sim_percent(r, 70) ? SM_KIND_SERVER : SM_KIND_CLIENT;
    s->start_ns = start_ns + before * 1000 * sim_below(r, 900);
    if (before)
        call_from(s, &t->spans[first + (sim_percent(r, 60) ? before - 1 : sim_below(r, before))], m, r);
    dress(s, m, r);
}

/* Parents that are missing, lead to themselves or in circles. */
static void tangle(struct sim_traffic *t, struct sim_random *r, uint32_t first)
{
    uint32_t count = t->span_count - first;
    struct sim_span *a = &t->spans[first + sim_below(r, count)], *b = &t->spans[first + sim_below(r, count)];
    switch (sim_below(r, 12)) {
    case 0:
        a->parent_id = a->span_id;
        break;
    case 1:
        a->parent_id = b->span_id;
        b->parent_id = a->span_id;
        break;
    case 2:
        a->parent_id = sim_next(r) | 1;
        break;
    case 3:
        a->span_id = b->span_id;
        break;
    default:
        break;
    }
}

static void copy_span(struct sim_traffic *t, struct sim_random *r, uint32_t from)
{
    struct sim_span *s = add_span(t);
    *s = t->spans[from];
    s->wish_ns += (int64_t)sim_below(r, 4000) * SM_MS;
    if (sim_percent(r, 25)) { /* the same span, but not the same content */
        s->filler = (s->filler + 1) % 3000;
        s->duration_ns += 1000;
        s->error_tag = !s->error_tag;
    } else if (sim_percent(r, 20)) {
        s->variant++; /* other content behind the same head */
    }
}

static void send_trace(struct sim_traffic *t, struct sim_random *r, const struct sim_plan *plan, uint32_t first)
{
    bool late = sim_percent(r, plan->late_percent);
    uint32_t end = t->span_count;
    if (late && !t->traces[t->trace_count - 1].clash)
        t->traces[t->trace_count - 1].pool = SIM_POOLS - 1 - (unsigned)sim_below(r, 2);
    for (uint32_t i = first; i < end; i++) {
        struct sim_span *s = &t->spans[i];
        s->wish_ns = (int64_t)(s->start_ns + s->duration_ns) + (int64_t)sim_below(r, plan->delay_ms) * SM_MS;
        if (late && sim_percent(r, 25))
            s->wish_ns += (int64_t)sim_below(r, (uint64_t)plan->late_ns);
    }
    for (uint32_t i = first; i < end; i++) {
        if (sim_percent(r, plan->duplicate_percent))
            copy_span(t, r, i);
    }
    for (uint32_t i = first; plan->jump_ns && i < t->span_count; i++) {
        if (t->spans[i].wish_ns > SIM_START_NS + plan->span_ns / 2)
            t->spans[i].wish_ns += (int64_t)plan->jump_ns;
    }
}

static void make_trace(struct sim_traffic *t, struct sim_random *r, const struct sim_plan *plan)
{
    struct sim_trace *trace = &t->traces[t->trace_count++];
    *trace = (struct sim_trace){.id = {sim_next(r) | 1, sim_next(r) | 1}, .pool = (unsigned)sim_below(r, SIM_POOLS - 2)};
    if (t->trace_count > 1 && sim_percent(r, 1)) {
        trace->pool = trace[-1].pool = 0;
        trace[-1].clash = trace->clash = true;
        trace->id.lo = trace[-1].id.lo;
    }
    uint32_t first = t->span_count;
    struct manner m = make_manner(r);
    uint64_t start_ns = (uint64_t)SIM_START_NS + sim_below(r, (uint64_t)plan->span_ns) / 1000 * 1000;
    for (unsigned n = trace_size(r); n; n--)
        make_span(t, r, &m, first, start_ns);
    tangle(t, r, first);
    if (t->span_count - first > 1 && sim_percent(r, 10)) { /* one is never sent */
        uint32_t lost = first + (uint32_t)sim_below(r, t->span_count - first);
        t->spans[lost] = t->spans[--t->span_count];
    }
    send_trace(t, r, plan, first);
}

void sim_traffic_make(struct sim_traffic *t, const struct sim_plan *plan)
{
    struct sim_random r = {plan->seed * 2};
    *t = (struct sim_traffic){.traces = sm_xcalloc(plan->traces, sizeof(struct sim_trace))};
    for (unsigned i = 0; i < plan->traces; i++)
        make_trace(t, &r, plan);
    write_spans(t);
    make_payloads(t, &r);
}

void sim_traffic_free(struct sim_traffic *t)
{
    for (uint32_t i = 0; i < t->span_count; i++) {
        sm_buf_fini(&t->spans[i].wire);
        free(t->spans[i].bytes);
    }
    for (uint32_t i = 0; i < t->payload_count; i++) {
        sm_buf_fini(&t->payloads[i].body);
        free(t->payloads[i].spans);
    }
    free(t->traces);
    free(t->spans);
    free(t->payloads);
}
