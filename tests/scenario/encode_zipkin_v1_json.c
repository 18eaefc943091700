/* Described spans as a Zipkin v1 JSON list: kinds and times as two core annotations, everything with the endpoint. A shared span
 * leaves its times out, which is how version 1 says so. */
#include "base/json_out.h"
#include "spans.h"

#include <inttypes.h>

static void put_id(struct sm_buf *out, const char *key, const struct span_id *id, size_t from)
{
    struct span_id rest = {.size = id->size - from};
    memcpy(rest.bytes, id->bytes + from, rest.size);
    sm_buf_printf(out, "\"%s\":\"", key);
    span_put_hex(out, &rest);
    sm_buf_puts(out, "\",");
}

static void put_endpoint(struct sm_buf *out, const char *service)
{
    if (service) {
        sm_buf_puts(out, ",\"endpoint\":{\"serviceName\":");
        sm_json_put_string(out, sm_str_c(service));
        sm_buf_putc(out, '}');
    }
    sm_buf_putc(out, '}');
}

static void put_annotations(struct sm_buf *out, const struct span_desc *s)
{
    static const char *const values[][2] = {{0}, {0}, {"sr", "ss"}, {"cs", "cr"}, {"ms", "ws"}, {"wr", "mr"}};
    sm_buf_puts(out, "\"annotations\":[");
    for (unsigned i = 0; i < 2 && values[s->kind][0] && s->start_ns >= 0; i++) {
        int64_t time_ns = s->start_ns + (i ? SM_MAX(s->duration_ns, INT64_C(0)) : 0);
        sm_buf_printf(out, "%s{\"timestamp\":%" PRId64 ",\"value\":\"%s\"", i ? "," : "", time_ns / 1000, values[s->kind][i]);
        put_endpoint(out, s->service);
    }
    sm_buf_putc(out, ']');
}

static void put_binary(struct sm_buf *out, const char *key, const char *value, const char *service, bool *first)
{
    sm_buf_puts(out, *first ? "{\"key\":" : ",{\"key\":");
    *first = false;
    sm_json_put_string(out, sm_str_c(key));
    sm_buf_puts(out, ",\"value\":");
    if (value)
        sm_json_put_string(out, sm_str_c(value));
    else
        sm_buf_puts(out, "true");
    put_endpoint(out, service);
}

static void put_span(struct sm_buf *out, const struct span_desc *s)
{
    bool first = true;
    sm_buf_putc(out, '{');
    put_id(out, "traceId", &s->trace, s->trace64 && s->trace.size == 16 ? 8 : 0);
    put_id(out, "id", &s->id, 0);
    if (s->parent.size)
        put_id(out, "parentId", &s->parent, 0);
    sm_buf_puts(out, "\"name\":");
    sm_json_put_string(out, sm_str_c(s->name));
    if (!s->shared && s->start_ns >= 0)
        sm_buf_printf(out, ",\"timestamp\":%" PRId64, s->start_ns / 1000);
    if (!s->shared && s->duration_ns >= 0)
        sm_buf_printf(out, ",\"duration\":%" PRId64, s->duration_ns / 1000);
    sm_buf_printf(out, ",%s", s->debug ? "\"debug\":true," : "");
    put_annotations(out, s);
    sm_buf_puts(out, ",\"binaryAnnotations\":[");
    for (unsigned i = 0; i < s->attrs.count; i++)
        put_binary(out, s->attrs.items[i].key, s->attrs.items[i].value, s->service, &first);
    if (s->status == SM_STATUS_ERROR)
        put_binary(out, "error", s->message ? s->message : "true", s->service, &first);
    if (s->remote)
        put_binary(out, s->kind == SM_KIND_SERVER ? "ca" : s->kind == SM_KIND_CLIENT ? "sa" : "ma", NULL, s->remote, &first);
    put_binary(out, "lc", "", s->service, &first);
    sm_buf_puts(out, "]}");
}

void span_encode_zipkin_v1_json(const struct span_desc *spans, size_t count, struct sm_buf *out)
{
    sm_buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            sm_buf_putc(out, ',');
        put_span(out, &spans[i]);
    }
    sm_buf_putc(out, ']');
}
