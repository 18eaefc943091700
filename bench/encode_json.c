/* JSON encodings. The generator's words hold nothing that needs escaping. */
#include "bench/encode_json.h"

#include "bench/attrs.h"
#include "bench/encode.h"

/* The body that is being written. */
struct writer {
    struct bench_buf *out;
    struct bench_fields *fields;
    struct bench_words words;
};

static void put(struct writer *w, const char *text)
{
    bench_buf_add_c(w->out, text);
}

static void put_trace_id(struct writer *w, const struct bench_span *s)
{
    bench_fields_add(w->fields, BENCH_FIELD_HEX_TRACE_ID, w->out->len);
    bench_buf_add_format(w->out, "%016llx%016llx", (unsigned long long)s->trace_hi, (unsigned long long)s->trace_lo);
}

static void put_span_id(struct writer *w, uint64_t id)
{
    bench_fields_add(w->fields, BENCH_FIELD_HEX_SPAN_ID, w->out->len);
    bench_buf_add_format(w->out, "%016llx", (unsigned long long)id);
}

static void put_time_ns(struct writer *w, int64_t virtual_ns)
{
    bench_fields_add(w->fields, BENCH_FIELD_TEXT_TIME_NS, w->out->len);
    bench_buf_add_format(w->out, "%019lld", (long long)(BENCH_ENCODE_EPOCH_NS + virtual_ns));
}

static void put_time_us(struct writer *w, int64_t virtual_ns)
{
    bench_fields_add(w->fields, BENCH_FIELD_TEXT_TIME_US, w->out->len);
    bench_buf_add_format(w->out, "%016lld", (long long)((BENCH_ENCODE_EPOCH_NS + virtual_ns) / SM_US));
}

static void put_otlp_attrs(struct writer *w, const struct bench_attrs *attrs)
{
    put(w, "\"attributes\":[");
    for (uint32_t i = 0; i < attrs->n; i++) {
        const struct bench_attr *a = &attrs->at[i];
        bench_buf_add_format(w->out, "%s{\"key\":\"%s\",\"value\":{", i ? "," : "", a->key);
        switch (a->type) {
        case BENCH_ATTR_STRING:
            bench_buf_add_format(w->out, "\"stringValue\":\"%s\"", a->string);
            break;
        case BENCH_ATTR_INT:
            bench_buf_add_format(w->out, "\"intValue\":\"%lld\"", (long long)a->integer);
            break;
        case BENCH_ATTR_BOOL:
            bench_buf_add_format(w->out, "\"boolValue\":%s", a->integer ? "true" : "false");
            break;
        case BENCH_ATTR_DOUBLE:
            bench_buf_add_format(w->out, "\"doubleValue\":%.17g", a->real);
            break;
        }
        put(w, "}}");
    }
    put(w, "]");
}

static void put_otlp_event(struct writer *w)
{
    put(w, ",\"events\":[{\"timeUnixNano\":\"");
    put_time_ns(w, w->words.event.time_ns);
    bench_buf_add_format(w->out, "\",\"name\":\"%s\",", w->words.event.name);
    put_otlp_attrs(w, &w->words.event.attrs);
    put(w, "}]");
}

static void put_otlp_link(struct writer *w, const struct bench_span *s)
{
    put(w, ",\"links\":[{\"traceId\":\"");
    put_trace_id(w, s);
    put(w, "\",\"spanId\":\"");
    put_span_id(w, s->parent);
    put(w, "\",\"flags\":769}]");
}

static void put_otlp_status(struct writer *w)
{
    put(w, ",\"status\":{");
    if (w->words.status_message[0])
        bench_buf_add_format(w->out, "\"message\":\"%s\",", w->words.status_message);
    put(w, "\"code\":2}");
}

static void put_otlp_span(struct writer *w, const struct bench_span *s)
{
    bench_attrs_describe(s, &w->words);
    put(w, "{\"traceId\":\"");
    put_trace_id(w, s);
    put(w, "\",\"spanId\":\"");
    put_span_id(w, s->id);
    if (s->parent) {
        put(w, "\",\"parentSpanId\":\"");
        put_span_id(w, s->parent);
    }
    bench_buf_add_format(w->out, "\",\"flags\":%u,\"name\":\"%s\",\"kind\":%u,\"startTimeUnixNano\":\"", w->words.flags,
                         w->words.name, w->words.kind);
    put_time_ns(w, s->start_ns);
    put(w, "\",\"endTimeUnixNano\":\"");
    put_time_ns(w, s->end_ns);
    put(w, "\",");
    put_otlp_attrs(w, &w->words.attrs);
    if (w->words.event.name)
        put_otlp_event(w);
    if (s->linked)
        put_otlp_link(w, s);
    if (s->error)
        put_otlp_status(w);
    else
        put(w, ",\"status\":{}");
    put(w, "}");
}

static void put_otlp_scope(struct writer *w, const struct bench_gen *gen, const struct bench_request *request,
                           uint32_t scope, uint32_t *scopes_written)
{
    uint32_t written = 0;
    for (uint32_t i = 0; i < request->n; i++) {
        const struct bench_span *s = &gen->spans[gen->order[request->first + i]];
        if (bench_attrs_scope_of(s) != scope)
            continue;
        if (written++ == 0)
            bench_buf_add_format(w->out, "%s{\"scope\":{\"name\":\"%s\",\"version\":\"%s\"},\"spans\":[",
                                 (*scopes_written)++ ? "," : "", bench_attrs_scopes[scope].name,
                                 bench_attrs_scopes[scope].version);
        else
            put(w, ",");
        put_otlp_span(w, s);
    }
    if (written)
        put(w, "]}");
}

void bench_encode_json_otlp(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                            struct bench_fields *fields)
{
    struct writer w = {.out = out, .fields = fields};
    struct bench_attrs resource;
    uint32_t scopes_written = 0;
    bench_attrs_resource(request->service, request->instance, &resource);
    put(&w, "{\"resourceSpans\":[{\"resource\":{");
    put_otlp_attrs(&w, &resource);
    put(&w, "},\"scopeSpans\":[");
    for (uint32_t scope = 0; scope < BENCH_SCOPES; scope++)
        put_otlp_scope(&w, gen, request, scope, &scopes_written);
    put(&w, "],\"schemaUrl\":\"https://opentelemetry.io/schemas/1.37.0\"}]}");
}

static void put_zipkin_tags(struct writer *w, const struct bench_span *s)
{
    const struct bench_attrs *attrs = &w->words.attrs;
    put(w, ",\"tags\":{");
    for (uint32_t i = 0; i < attrs->n; i++) {
        const struct bench_attr *a = &attrs->at[i];
        bench_buf_add_format(w->out, "%s\"%s\":\"", i ? "," : "", a->key);
        switch (a->type) {
        case BENCH_ATTR_STRING:
            put(w, a->string);
            break;
        case BENCH_ATTR_INT:
            bench_buf_add_format(w->out, "%lld", (long long)a->integer);
            break;
        case BENCH_ATTR_BOOL:
            put(w, a->integer ? "true" : "false");
            break;
        case BENCH_ATTR_DOUBLE:
            bench_buf_add_format(w->out, "%.17g", a->real);
            break;
        }
        put(w, "\"");
    }
    if (s->error)
        bench_buf_add_format(w->out, ",\"error\":\"%s\"",
                             w->words.status_message[0] ? w->words.status_message : "true");
    put(w, "}");
}

static void put_zipkin_endpoint(struct writer *w, const char *key, const char *service, uint32_t a, uint32_t b,
                                int port)
{
    bench_buf_add_format(w->out, ",\"%s\":{\"serviceName\":\"%s\",\"ipv4\":\"10.%u.%u.%u\",\"port\":%d}", key, service,
                         a, b, 2 + b % 8, port);
}

static void put_zipkin_span(struct writer *w, const struct bench_span *s)
{
    static const char *const kinds[] = {NULL, NULL, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    bench_attrs_describe(s, &w->words);
    put(w, "{\"traceId\":\"");
    put_trace_id(w, s);
    if (s->parent) {
        put(w, "\",\"parentId\":\"");
        put_span_id(w, s->parent);
    }
    put(w, "\",\"id\":\"");
    put_span_id(w, s->id);
    if (kinds[w->words.kind])
        bench_buf_add_format(w->out, "\",\"kind\":\"%s", kinds[w->words.kind]);
    bench_buf_add_format(w->out, "\",\"name\":\"%s\",\"timestamp\":", w->words.name);
    put_time_us(w, s->start_ns);
    bench_buf_add_format(w->out, ",\"duration\":%lld", (long long)SM_MAX(1, (s->end_ns - s->start_ns) / SM_US));
    put_zipkin_endpoint(w, "localEndpoint", bench_topology_services[s->service].name, 16, s->service, 8080);
    if (w->words.remote_service)
        put_zipkin_endpoint(w, "remoteEndpoint", w->words.remote_service, 17, s->peer, 8080);
    if (w->words.event.name) {
        put(w, ",\"annotations\":[{\"timestamp\":");
        put_time_us(w, w->words.event.time_ns);
        bench_buf_add_format(w->out, ",\"value\":\"%s\"}]", w->words.event.name);
    }
    put_zipkin_tags(w, s);
    put(w, "}");
}

void bench_encode_json_zipkin(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                              struct bench_fields *fields)
{
    struct writer w = {.out = out, .fields = fields};
    for (uint32_t i = 0; i < request->n; i++) {
        put(&w, i ? "," : "[");
        put_zipkin_span(&w, &gen->spans[gen->order[request->first + i]]);
    }
    put(&w, "]");
}
