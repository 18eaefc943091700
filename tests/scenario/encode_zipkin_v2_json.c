/* Described spans as a Zipkin v2 JSON list. A failed span gets the tag `error`, as Zipkin has it. */
#include "base/json_out.h"
#include "spans.h"

#include <ctype.h>
#include <inttypes.h>

static void put_text(struct sm_buf *out, const char *text)
{
    sm_json_put_string(out, sm_str_c(text));
}

static void put_id(struct sm_buf *out, const char *key, const struct span_id *id)
{
    sm_buf_printf(out, "\"%s\":\"", key);
    span_put_hex(out, id);
    sm_buf_putc(out, '"');
}

/* 16 digits for an id that was written with so many, as 64-bit tracers do. */
static void put_trace_id(struct sm_buf *out, const struct span_desc *s)
{
    struct span_id id = s->trace;
    if (s->trace64 && id.size == 16) {
        memmove(id.bytes, id.bytes + 8, 8);
        id.size = 8;
    }
    put_id(out, "traceId", &id);
}

static void put_kind(struct sm_buf *out, enum sm_kind kind)
{
    if (kind == SM_KIND_UNSPECIFIED || kind == SM_KIND_INTERNAL)
        return;
    sm_buf_puts(out, ",\"kind\":\"");
    for (const char *p = sm_kind_name(kind); *p; p++)
        sm_buf_putc(out, (char)toupper((unsigned char)*p));
    sm_buf_putc(out, '"');
}

static void put_endpoint(struct sm_buf *out, const char *key, const char *service)
{
    if (!service)
        return;
    sm_buf_printf(out, ",\"%s\":{\"serviceName\":", key);
    put_text(out, service);
    sm_buf_putc(out, '}');
}

static void put_tag(struct sm_buf *out, const char *key, const char *value, bool *first)
{
    if (!*first)
        sm_buf_putc(out, ',');
    *first = false;
    put_text(out, key);
    sm_buf_putc(out, ':');
    put_text(out, value);
}

static void put_tags(struct sm_buf *out, const struct span_desc *s)
{
    bool first = true;
    sm_buf_puts(out, ",\"tags\":{");
    for (unsigned i = 0; i < s->attrs.count; i++)
        put_tag(out, s->attrs.items[i].key, s->attrs.items[i].value, &first);
    if (s->status == SM_STATUS_ERROR)
        put_tag(out, "error", s->message ? s->message : "true", &first);
    sm_buf_putc(out, '}');
}

static void put_span(struct sm_buf *out, const struct span_desc *s)
{
    sm_buf_putc(out, '{');
    put_trace_id(out, s);
    sm_buf_putc(out, ',');
    put_id(out, "id", &s->id);
    if (s->parent.size) {
        sm_buf_putc(out, ',');
        put_id(out, "parentId", &s->parent);
    }
    sm_buf_puts(out, ",\"name\":");
    put_text(out, s->name);
    put_kind(out, s->kind);
    if (s->start_ns >= 0)
        sm_buf_printf(out, ",\"timestamp\":%" PRId64, s->start_ns / 1000);
    if (s->duration_ns >= 0)
        sm_buf_printf(out, ",\"duration\":%" PRId64, s->duration_ns / 1000);
    put_endpoint(out, "localEndpoint", s->service);
    put_endpoint(out, "remoteEndpoint", s->remote);
    put_tags(out, s);
    sm_buf_printf(out, "%s%s}", s->debug ? ",\"debug\":true" : "", s->shared ? ",\"shared\":true" : "");
}

void span_encode_zipkin_v2_json(const struct span_desc *spans, size_t count, struct sm_buf *out)
{
    sm_buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            sm_buf_putc(out, ',');
        put_span(out, &spans[i]);
    }
    sm_buf_putc(out, ']');
}
