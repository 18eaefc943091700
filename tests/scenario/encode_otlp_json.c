/* Described spans as an OTLP ExportTraceServiceRequest in JSON. */
#include "base/json_out.h"
#include "spans.h"

#include <inttypes.h>

static void put_text(struct sm_buf *out, const char *text)
{
    sm_json_put_string(out, sm_str_c(text));
}

static void put_attr(struct sm_buf *out, const struct span_attr *a, bool *first)
{
    sm_buf_puts(out, *first ? "{\"key\":" : ",{\"key\":");
    *first = false;
    put_text(out, a->key);
    sm_buf_puts(out, a->is_int ? ",\"value\":{\"intValue\":" : ",\"value\":{\"stringValue\":");
    put_text(out, a->value);
    sm_buf_puts(out, "}}");
}

static void put_attrs(struct sm_buf *out, const struct span_desc *s)
{
    bool first = true;
    sm_buf_puts(out, ",\"attributes\":[");
    for (unsigned i = 0; i < s->attrs.count; i++)
        put_attr(out, &s->attrs.items[i], &first);
    if (s->remote)
        put_attr(out, &(struct span_attr){"peer.service", s->remote, false}, &first);
    if (s->debug)
        put_attr(out, &(struct span_attr){"sampling.priority", "1", true}, &first);
    sm_buf_puts(out, "]");
}

static void put_id(struct sm_buf *out, const char *key, const struct span_id *id)
{
    sm_buf_printf(out, "\"%s\":\"", key);
    span_put_hex(out, id);
    sm_buf_putc(out, '"');
}

static void put_link(struct sm_buf *out, const struct span_desc *s)
{
    sm_buf_puts(out, ",\"links\":[{");
    put_id(out, "traceId", &s->link_trace);
    sm_buf_putc(out, ',');
    put_id(out, "spanId", &s->link_id);
    sm_buf_puts(out, "}]");
}

static void put_status(struct sm_buf *out, const struct span_desc *s)
{
    sm_buf_printf(out, ",\"status\":{\"code\":%d", (int)s->status);
    if (s->message) {
        sm_buf_puts(out, ",\"message\":");
        put_text(out, s->message);
    }
    sm_buf_putc(out, '}');
}

static void put_span(struct sm_buf *out, const struct span_desc *s)
{
    sm_buf_putc(out, '{');
    put_id(out, "traceId", &s->trace);
    sm_buf_putc(out, ',');
    put_id(out, "spanId", &s->id);
    if (s->parent.size) {
        sm_buf_putc(out, ',');
        put_id(out, "parentSpanId", &s->parent);
    }
    sm_buf_puts(out, ",\"name\":");
    put_text(out, s->name);
    sm_buf_printf(out, ",\"kind\":%d", (int)s->kind);
    if (s->start_ns >= 0)
        sm_buf_printf(out, ",\"startTimeUnixNano\":\"%" PRId64 "\",\"endTimeUnixNano\":\"%" PRId64 "\"", s->start_ns,
                      s->start_ns + s->duration_ns);
    if (s->tracestate) {
        sm_buf_puts(out, ",\"traceState\":");
        put_text(out, s->tracestate);
    }
    put_attrs(out, s);
    if (s->link_id.size)
        put_link(out, s);
    if (s->status || s->message)
        put_status(out, s);
    if (s->flags)
        sm_buf_printf(out, ",\"flags\":%u", s->flags);
    sm_buf_putc(out, '}');
}

static void put_resource(struct sm_buf *out, const struct span_desc *s)
{
    bool first = true;
    sm_buf_puts(out, "{\"resource\":{\"attributes\":[");
    if (s->service)
        put_attr(out, &(struct span_attr){"service.name", s->service, false}, &first);
    for (unsigned i = 0; i < s->resource.count; i++)
        put_attr(out, &s->resource.items[i], &first);
    sm_buf_puts(out, "]},\"scopeSpans\":[{\"spans\":[");
}

void span_encode_otlp_json(const struct span_desc *spans, size_t count, struct sm_buf *out)
{
    sm_buf_puts(out, "{\"resourceSpans\":[");
    for (size_t at = 0; at < count;) {
        size_t end = at + span_resource_run(spans + at, count - at);
        if (at)
            sm_buf_putc(out, ',');
        put_resource(out, &spans[at]);
        for (size_t first = at; at < end; at++) {
            if (at > first)
                sm_buf_putc(out, ',');
            put_span(out, &spans[at]);
        }
        sm_buf_puts(out, "]}]}");
    }
    sm_buf_puts(out, "]}");
}
