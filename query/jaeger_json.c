/* Writing Jaeger's trace JSON: spans are read first, adjusted, then written. */
#include "query/jaeger_json.h"
#include "base/hash.h"
#include "base/json_out.h"
#include "base/pb.h"
#include "query/shared_ids.h"
#include "span/attr.h"
#include "span/private.h"

#include <math.h>
#include <stdlib.h>

/* Field numbers of trace.proto, common.proto and resource.proto. */
enum { RESOURCE_ATTRIBUTES = 1, SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTES = 3 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2, LINK_ATTRIBUTES = 4 };
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };

#define SAFE_INTEGER ((INT64_C(1) << 53) - 1) /* JavaScript's largest exact one */

/* What adjusting and writing need of a span. */
struct view {
    const struct sm_encode_span *encode;
    struct sm_str bytes; /* without the private field; while reading: its offset in `plain` if `plain_size` is set */
    size_t plain_at, plain_size;
    uint64_t id, parent_id;
    uint64_t start_ns, end_ns;
    enum sm_kind kind;
    enum sm_status status;
    struct sm_str name, trace_state, status_message;
    uint32_t process;
    uint32_t flags; /* Jaeger's */
    bool cut;      /* its parent is left out, for it was its own ancestor */
    uint32_t walk; /* the one of cut_rings that came by; 0: none */
    bool has_error_text; /* an attribute "error" that says what went wrong */
    struct sm_str error_text;
    bool jaeger; /* came as Jaeger: what it says leaves as it came */
    bool parent_follows;
    uint32_t parent_reference; /* 1 + index of the reference to the parent; 0: the first */
};

struct sm_jaeger_json {
    struct view *spans;
    uint32_t count, capacity;
    struct sm_buf plain;
    struct sm_str *processes; /* distinct resources */
    uint32_t process_count, process_capacity;
    uint32_t *process_table; /* index + 1 */
    uint32_t process_table_size;
};

struct sm_jaeger_json *sm_jaeger_json_new(void)
{
    return sm_xcalloc(1, sizeof(struct sm_jaeger_json));
}

void sm_jaeger_json_free(struct sm_jaeger_json *w)
{
    if (!w)
        return;
    free(w->spans);
    sm_buf_fini(&w->plain);
    free(w->processes);
    free(w->process_table);
    free(w);
}

void sm_jaeger_trace_id(struct sm_trace_id id, char out[SM_TRACE_ID_HEX_SIZE])
{
    if (id.hi)
        sm_trace_id_hex(id, out);
    else
        sm_span_id_hex(id.lo, out);
}

/* ---- reading ---- */

static uint32_t power_of_two(uint32_t least)
{
    uint32_t size = 64;
    while (size < least)
        size *= 2;
    return size;
}

static void begin(struct sm_jaeger_json *w, uint32_t spans)
{
    w->count = w->process_count = 0;
    sm_buf_clear(&w->plain);
    if (w->capacity < spans) {
        w->capacity = spans;
        w->spans = sm_xrealloc(w->spans, spans * sizeof *w->spans);
        w->processes = sm_xrealloc(w->processes, spans * sizeof *w->processes);
    }
    uint32_t size = power_of_two(spans * 2);
    if (w->process_table_size < size) {
        free(w->process_table);
        w->process_table = sm_xmalloc(size * sizeof *w->process_table);
        w->process_table_size = size;
    }
    memset(w->process_table, 0, w->process_table_size * sizeof *w->process_table);
}

/* Index of the process with this resource. */
static uint32_t process_of(struct sm_jaeger_json *w, struct sm_str resource)
{
    uint32_t mask = w->process_table_size - 1;
    uint32_t at = (uint32_t)sm_hash_bytes(resource.ptr, resource.len) & mask;
    for (; w->process_table[at]; at = (at + 1) & mask) {
        if (sm_str_eq(w->processes[w->process_table[at] - 1], resource))
            return w->process_table[at] - 1;
    }
    w->processes[w->process_count] = resource;
    w->process_table[at] = ++w->process_count;
    return w->process_count - 1;
}

static void read_status(struct view *v, const struct sm_pb_field *status)
{
    const uint8_t *p = status->bytes, *end = sm_pb_end(p, status->size);
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == STATUS_CODE && f.wire == SM_PB_VARINT && f.value <= SM_STATUS_ERROR)
            v->status = (enum sm_status)f.value;
        else if (f.number == STATUS_MESSAGE && f.wire == SM_PB_BYTES)
            v->status_message = sm_str(f.bytes, f.size);
    }
}

static void read_bytes_field(struct view *v, const struct sm_pb_field *f)
{
    if (f->number == SM_OTLP_SPAN_ID && f->size == 8)
        v->id = sm_load_be64(f->bytes);
    else if (f->number == SM_OTLP_PARENT_SPAN_ID && f->size == 8)
        v->parent_id = sm_load_be64(f->bytes);
    else if (f->number == SM_OTLP_NAME)
        v->name = sm_str(f->bytes, f->size);
    else if (f->number == SM_OTLP_TRACE_STATE)
        v->trace_state = sm_str(f->bytes, f->size);
    else if (f->number == SM_OTLP_STATUS)
        read_status(v, f);
}

static void read_span(struct view *v)
{
    const uint8_t *p = (const uint8_t *)v->bytes.ptr, *end = sm_pb_end(p, v->bytes.len);
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire == SM_PB_BYTES)
            read_bytes_field(v, &f);
        else if (f.number == SM_OTLP_KIND && f.wire == SM_PB_VARINT && f.value <= SM_KIND_CONSUMER)
            v->kind = (enum sm_kind)f.value;
        else if (f.number == SM_OTLP_START && f.wire == SM_PB_FIXED64)
            v->start_ns = f.value;
        else if (f.number == SM_OTLP_END && f.wire == SM_PB_FIXED64)
            v->end_ns = f.value;
    }
}

static void read_jaeger(struct view *v, const struct sm_private *priv)
{
    v->jaeger = true;
    v->flags = priv->jaeger_flags;
    v->parent_follows = priv->flags & SM_PRIVATE_PARENT_FOLLOWS;
    v->parent_reference = priv->parent_reference;
    v->end_ns = priv->duration_ns; /* of a span that has no times */
}

/* What the private field says; addresses and the like become plain attributes. */
static void read_private(struct sm_jaeger_json *w, struct view *v)
{
    struct sm_private priv;
    if (!sm_private_find((const uint8_t *)v->encode->bytes.ptr, v->encode->bytes.len, &priv))
        return;
    if (priv.origin == SM_ORIGIN_JAEGER) {
        read_jaeger(v, &priv);
        return;
    }
    v->flags = priv.flags & SM_PRIVATE_DEBUG ? 2 : 0;
    v->plain_at = w->plain.size;
    sm_private_plain(v->encode->bytes, &w->plain);
    v->plain_size = w->plain.size - v->plain_at;
}

/* An attribute `error` that is more than a flag would be hidden by the flag that status ERROR gives. */
static void read_error_text(struct view *v)
{
    struct sm_value value;
    if (v->status != SM_STATUS_ERROR ||
        !sm_attr_find(v->bytes.ptr, v->bytes.len, SM_OTLP_ATTRIBUTES, SM_STR("error"), &value))
        return;
    v->has_error_text = value.type == SM_VALUE_STRING && value.bytes.len && !sm_str_eq(value.bytes, SM_STR("true"));
    v->error_text = value.bytes;
}

static void read_trace(struct sm_jaeger_json *w, const struct sm_source_trace *trace)
{
    begin(w, trace->span_count);
    for (uint32_t i = 0; i < trace->span_count; i++) {
        struct view *v = &w->spans[w->count++];
        *v = (struct view){.encode = &trace->spans[i], .bytes = trace->spans[i].bytes};
        v->process = process_of(w, trace->spans[i].resource);
        read_private(w, v);
    }
    for (uint32_t i = 0; i < w->count; i++) { /* the buffer moves no more */
        struct view *v = &w->spans[i];
        if (v->plain_size)
            v->bytes = sm_str(w->plain.data + v->plain_at, v->plain_size);
        read_span(v);
        read_error_text(v);
    }
}

/* ---- adjusting ---- */

static void split_shared_ids(struct sm_jaeger_json *w)
{
    struct sm_shared_span *spans = sm_xmalloc(SM_MAX(w->count, 1u) * sizeof *spans);
    for (uint32_t i = 0; i < w->count; i++)
        spans[i] = (struct sm_shared_span){.id = w->spans[i].id,
                                           .parent_id = w->spans[i].parent_id,
                                           .kind = w->spans[i].kind,
                                           .at = i,
                                           .start_ns = w->spans[i].start_ns,
                                           .end_ns = w->spans[i].end_ns};
    if (sm_shared_ids_split(spans, w->count)) {
        for (uint32_t i = 0; i < w->count; i++) {
            w->spans[spans[i].at].id = spans[i].id;
            w->spans[spans[i].at].parent_id = spans[i].parent_id;
        }
    }
    free(spans);
}

/* Alike ones stay in the order in which they were found. */
static int by_start(const void *x, const void *y)
{
    const struct view *a = x, *b = y;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->encode < b->encode ? -1 : a->encode > b->encode;
}

/* Where the first span with an id is. */
struct place {
    uint64_t id;
    uint32_t at;
};

static int by_place(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static struct place *places_of(const struct sm_jaeger_json *w, uint32_t *count)
{
    struct place *places = sm_xmalloc(w->count * sizeof *places);
    for (uint32_t i = 0; i < w->count; i++)
        places[i] = (struct place){w->spans[i].id, i};
    qsort(places, w->count, sizeof *places, by_place);
    *count = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        if (*count == 0 || places[*count - 1].id != places[i].id)
            places[(*count)++] = places[i];
    }
    return places;
}

static int by_place_id(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    return a->id != b->id ? (a->id < b->id ? -1 : 1) : 0;
}

/* The span's parent, NULL when it is not there. */
static struct view *parent_of(const struct sm_jaeger_json *w, const struct place *places, uint32_t count,
                              const struct view *v)
{
    struct place key = {.id = v->parent_id};
    const struct place *found = v->parent_id ? bsearch(&key, places, count, sizeof *places, by_place_id) : NULL;
    return found ? &w->spans[found->at] : NULL;
}

/* Spans whose ancestors lead back to themselves hang below no root, and the UI would not show them: the earliest of such a ring
 * becomes a root. Each span is walked by once. */
static void cut_rings(struct sm_jaeger_json *w)
{
    uint32_t count;
    struct place *places = places_of(w, &count);
    for (uint32_t i = 0; i < w->count; i++) {
        struct view *v = &w->spans[i];
        for (; v && !v->walk; v = parent_of(w, places, count, v))
            v->walk = i + 1;
        if (!v || v->walk != i + 1)
            continue;
        struct view *earliest = v;
        for (struct view *u = parent_of(w, places, count, v); u != v; u = parent_of(w, places, count, u))
            earliest = SM_MIN(earliest, u);
        earliest->parent_id = 0;
        earliest->cut = true;
    }
    free(places);
}

/* ---- writing ---- */

static void put_key(struct sm_buf *out, bool *first, struct sm_str key, const char *type)
{
    if (!*first)
        sm_buf_putc(out, ',');
    *first = false;
    sm_buf_puts(out, "{\"key\":");
    sm_json_put_string(out, key);
    sm_buf_printf(out, ",\"type\":\"%s\",\"value\":", type);
}

static void put_text_tag(struct sm_buf *out, bool *first, struct sm_str key, struct sm_str value)
{
    put_key(out, first, key, "string");
    sm_json_put_string(out, value);
    sm_buf_putc(out, '}');
}

static void put_int_value(struct sm_buf *out, int64_t v)
{
    bool safe = v >= -SAFE_INTEGER && v <= SAFE_INTEGER;
    sm_buf_puts(out, safe ? "" : "\"");
    sm_json_put_int(out, v);
    sm_buf_puts(out, safe ? "" : "\"");
}

static void put_tag(struct sm_buf *out, bool *first, struct sm_str key, const struct sm_value *value)
{
    struct sm_buf text = {0};
    switch (value->type) {
    case SM_VALUE_STRING:
        put_text_tag(out, first, key, value->bytes);
        return;
    case SM_VALUE_BOOL:
        put_key(out, first, key, "bool");
        sm_buf_puts(out, value->b ? "true}" : "false}");
        return;
    case SM_VALUE_INT:
        put_key(out, first, key, "int64");
        put_int_value(out, value->i);
        sm_buf_putc(out, '}');
        return;
    case SM_VALUE_DOUBLE:
        put_key(out, first, key, "float64");
        sm_json_put_double(out, value->d);
        sm_buf_putc(out, '}');
        return;
    case SM_VALUE_BYTES:
        put_key(out, first, key, "binary");
        sm_buf_putc(out, '"');
        sm_json_put_base64(out, value->bytes);
        sm_buf_puts(out, "\"}");
        return;
    default: /* arrays, maps, nothing */
        sm_value_text(value, &text);
        put_text_tag(out, first, key, sm_buf_str(&text));
        sm_buf_fini(&text);
    }
}

static bool is_address_key(struct sm_str key)
{
    return sm_str_eq(key, SM_STR("ip")) || sm_str_eq(key, SM_STR("peer.ipv4"));
}

/* The number in an address tag; false when there is none. */
static bool address_number(const struct sm_value *value, uint32_t *address)
{
    if (value->type == SM_VALUE_INT) {
        *address = (uint32_t)value->i;
        return true;
    }
    if (value->type != SM_VALUE_DOUBLE || !(value->d >= 0 && value->d <= UINT32_MAX))
        return false;
    *address = (uint32_t)value->d;
    return true;
}

/* The UI takes any text for an error. */
static bool is_false_error(struct sm_str key, const struct sm_value *value)
{
    return sm_str_eq(key, SM_STR("error")) && value->type == SM_VALUE_STRING && sm_str_eq(value->bytes, SM_STR("false"));
}

static void put_adjusted_tag(struct sm_buf *out, bool *first, struct sm_str key, const struct sm_value *value, bool raw)
{
    uint32_t a;
    if (!raw && is_false_error(key, value)) {
        put_tag(out, first, key, &(struct sm_value){.type = SM_VALUE_BOOL});
        return;
    }
    if (raw || !is_address_key(key) || !address_number(value, &a)) {
        put_tag(out, first, key, value);
        return;
    }
    char text[16];
    int n = snprintf(text, sizeof text, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    put_text_tag(out, first, key, sm_str(text, (size_t)n));
}

static bool has_tag(const struct view *v, struct sm_str key)
{
    struct sm_value value;
    return sm_attr_find(v->bytes.ptr, v->bytes.len, SM_OTLP_ATTRIBUTES, key, &value);
}

/* Unless the span brings a tag of that name. */
static void put_made_tag(struct sm_buf *out, bool *first, const struct view *v, const char *key, struct sm_str value)
{
    if (value.len && !has_tag(v, sm_str_c(key)))
        put_text_tag(out, first, sm_str_c(key), value);
}

static void put_status_tags(struct sm_buf *out, bool *first, const struct view *v)
{
    if (v->status == SM_STATUS_UNSET || v->jaeger)
        return;
    bool failed = v->status == SM_STATUS_ERROR;
    put_made_tag(out, first, v, "otel.status_code", failed ? SM_STR("ERROR") : SM_STR("OK"));
    if (failed) {
        put_key(out, first, SM_STR("error"), "bool");
        sm_buf_puts(out, "true}");
    }
    bool told_by_tag = !v->status_message.len && v->has_error_text;
    put_made_tag(out, first, v, "otel.status_description", told_by_tag ? v->error_text : v->status_message);
}

/* With status ERROR the flag is written once, as a bool, for which the UI looks. Jaeger's own tags say everything already but the
 * kind, which was taken out of them once. */
static void put_tags(struct sm_buf *out, const struct view *v, bool raw)
{
    struct sm_attr_iter it = sm_attr_iter(v->bytes.ptr, v->bytes.len, SM_OTLP_ATTRIBUTES);
    struct sm_str key;
    struct sm_value value;
    bool first = true;
    sm_buf_puts(out, "\"tags\":[");
    while (sm_attr_next(&it, &key, &value)) {
        if (v->jaeger || v->status != SM_STATUS_ERROR || !sm_str_eq(key, SM_STR("error")))
            put_adjusted_tag(out, &first, key, &value, raw);
    }
    if (v->kind != SM_KIND_UNSPECIFIED && v->jaeger)
        put_text_tag(out, &first, SM_STR("span.kind"), sm_str_c(sm_kind_name(v->kind)));
    else if (v->kind != SM_KIND_UNSPECIFIED)
        put_made_tag(out, &first, v, "span.kind", sm_str_c(sm_kind_name(v->kind)));
    put_status_tags(out, &first, v);
    put_made_tag(out, &first, v, "w3c.tracestate", v->trace_state);
    put_made_tag(out, &first, v, "otel.scope.name", sm_pb_last_bytes(v->encode->scope, SCOPE_NAME));
    put_made_tag(out, &first, v, "otel.scope.version", sm_pb_last_bytes(v->encode->scope, SCOPE_VERSION));
    sm_buf_putc(out, ']');
}

static void put_log(struct sm_buf *out, struct sm_str event, bool jaeger)
{
    const uint8_t *p = (const uint8_t *)event.ptr, *end = sm_pb_end(p, event.len);
    struct sm_pb_field f;
    uint64_t time_ns = 0;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == EVENT_TIME && f.wire == SM_PB_FIXED64)
            time_ns = f.value;
    }
    struct sm_attr_iter it = sm_attr_iter(event.ptr, event.len, EVENT_ATTRIBUTES);
    struct sm_str key, name = sm_pb_last_bytes(event, EVENT_NAME);
    struct sm_value value;
    bool first = true;
    sm_buf_printf(out, "{\"timestamp\":%llu,\"fields\":[", (unsigned long long)(time_ns / 1000));
    if (name.len && (jaeger || !sm_attr_find(event.ptr, event.len, EVENT_ATTRIBUTES, SM_STR("event"), &value)))
        put_text_tag(out, &first, SM_STR("event"), name);
    while (sm_attr_next(&it, &key, &value))
        put_tag(out, &first, key, &value);
    sm_buf_puts(out, "]}");
}

static void put_logs(struct sm_buf *out, const struct view *v)
{
    const uint8_t *p = (const uint8_t *)v->bytes.ptr, *end = sm_pb_end(p, v->bytes.len);
    struct sm_pb_field f;
    bool first = true;
    sm_buf_puts(out, "\"logs\":[");
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != SM_OTLP_EVENTS || f.wire != SM_PB_BYTES)
            continue;
        sm_buf_puts(out, first ? "" : ",");
        first = false;
        put_log(out, sm_str(f.bytes, f.size), v->jaeger);
    }
    sm_buf_putc(out, ']');
}

static void put_reference(struct sm_buf *out, bool *first, const char *type, struct sm_trace_id trace, uint64_t span)
{
    char trace_hex[SM_TRACE_ID_HEX_SIZE], span_hex[SM_SPAN_ID_HEX_SIZE];
    sm_jaeger_trace_id(trace, trace_hex);
    sm_span_id_hex(span, span_hex);
    sm_buf_printf(out, "%s{\"refType\":\"%s\",\"traceID\":\"%s\",\"spanID\":\"%s\"}", *first ? "" : ",", type, trace_hex,
                  span_hex);
    *first = false;
}

/* Without `raw`, links that lead nowhere, or from the span to itself, are left out: the UI would show neither. */
static void put_link(struct sm_buf *out, bool *first, struct sm_trace_id own, const struct view *v, struct sm_str link, bool raw)
{
    struct sm_str trace_id = sm_pb_last_bytes(link, LINK_TRACE_ID), span_id = sm_pb_last_bytes(link, LINK_SPAN_ID);
    struct sm_trace_id trace = {0};
    struct sm_value type;
    if (trace_id.len == 16)
        trace = (struct sm_trace_id){sm_load_be64(trace_id.ptr), sm_load_be64(trace_id.ptr + 8)};
    uint64_t span = span_id.len == 8 ? sm_load_be64(span_id.ptr) : 0;
    if (!raw && ((!trace.hi && !trace.lo && !span) || (sm_trace_id_eq(trace, own) && span == v->id)))
        return;
    bool is_child = sm_attr_find(link.ptr, link.len, LINK_ATTRIBUTES, SM_STR("opentracing.ref_type"), &type) &&
                    type.type == SM_VALUE_STRING && sm_str_eq(type.bytes, SM_STR("child_of"));
    put_reference(out, first, is_child ? "CHILD_OF" : "FOLLOWS_FROM", trace, span);
}

static void put_references(struct sm_buf *out, struct sm_trace_id trace, const struct view *v, bool raw)
{
    const uint8_t *p = (const uint8_t *)v->bytes.ptr, *end = sm_pb_end(p, v->bytes.len);
    struct sm_pb_field f;
    bool first = true, wants_parent = v->parent_id;
    uint32_t links_before = v->parent_reference ? v->parent_reference - 1 : 0, links = 0;
    sm_buf_puts(out, "\"references\":[");
    for (;;) {
        bool more = sm_pb_next(&p, end, &f), is_link = more && f.number == SM_OTLP_LINKS && f.wire == SM_PB_BYTES;
        if (wants_parent && (!more || links == links_before)) {
            put_reference(out, &first, v->parent_follows ? "FOLLOWS_FROM" : "CHILD_OF", trace, v->parent_id);
            wants_parent = false;
        }
        if (!more)
            break;
        links += is_link;
        if (is_link)
            put_link(out, &first, trace, v, sm_str(f.bytes, f.size), raw);
    }
    sm_buf_putc(out, ']');
}

/* About the trace, which may be NULL, and about a span whose parent was cut. */
static void put_warnings(struct sm_buf *out, const struct sm_source_trace *trace, bool cut)
{
    const char *texts[] = {trace && trace->open ? SM_JAEGER_OPEN_WARNING : NULL,
                           trace && trace->partial ? SM_JAEGER_PARTIAL_WARNING : NULL, cut ? SM_JAEGER_RING_WARNING : NULL};
    bool first = true;
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++) {
        if (texts[i])
            sm_buf_printf(out, "%s\"%s\"", first ? "[" : ",", texts[i]);
        first = first && !texts[i];
    }
    sm_buf_puts(out, first ? "null" : "]");
}

/* `about`: the trace for its first span, else NULL. */
static void put_span(struct sm_buf *out, struct sm_trace_id trace, const struct view *v, bool raw,
                     const struct sm_source_trace *about)
{
    char trace_hex[SM_TRACE_ID_HEX_SIZE], span_hex[SM_SPAN_ID_HEX_SIZE];
    uint64_t start_us = v->start_ns / 1000, duration_ns = v->end_ns > v->start_ns ? v->end_ns - v->start_ns : 0;
    sm_jaeger_trace_id(trace, trace_hex);
    sm_span_id_hex(v->id, span_hex);
    sm_buf_printf(out, "{\"traceID\":\"%s\",\"spanID\":\"%s\",", trace_hex, span_hex);
    if (v->flags)
        sm_buf_printf(out, "\"flags\":%u,", v->flags);
    sm_buf_puts(out, "\"operationName\":");
    sm_json_put_string(out, v->name);
    sm_buf_putc(out, ',');
    put_references(out, trace, v, raw);
    sm_buf_printf(out, ",\"startTime\":%llu,\"duration\":%llu,", (unsigned long long)start_us,
                  (unsigned long long)(duration_ns / 1000));
    put_tags(out, v, raw);
    sm_buf_putc(out, ',');
    put_logs(out, v);
    sm_buf_printf(out, ",\"processID\":\"p%u\",\"warnings\":", v->process + 1);
    put_warnings(out, about, v->cut);
    sm_buf_putc(out, '}');
}

static void put_process(struct sm_buf *out, struct sm_str resource, bool raw)
{
    struct sm_attr_iter it = sm_attr_iter(resource.ptr, resource.len, RESOURCE_ATTRIBUTES);
    struct sm_str key;
    struct sm_value value;
    bool named = sm_attr_find(resource.ptr, resource.len, RESOURCE_ATTRIBUTES, SM_STR("service.name"), &value) &&
                 value.type == SM_VALUE_STRING && value.bytes.len;
    bool first = true, skipped = false;
    sm_buf_puts(out, "{\"serviceName\":");
    sm_json_put_string(out, named ? value.bytes : SM_STR(SM_JAEGER_UNKNOWN_SERVICE));
    sm_buf_puts(out, ",\"tags\":[");
    while (sm_attr_next(&it, &key, &value)) {
        if (skipped || !sm_str_eq(key, SM_STR("service.name")))
            put_adjusted_tag(out, &first, key, &value, raw);
        else
            skipped = true;
    }
    sm_buf_puts(out, "]}");
}

void sm_jaeger_json_put(struct sm_jaeger_json *w, const struct sm_source_trace *trace, bool raw, struct sm_buf *out)
{
    char hex[SM_TRACE_ID_HEX_SIZE];
    read_trace(w, trace);
    if (!raw && w->count) {
        split_shared_ids(w);
        qsort(w->spans, w->count, sizeof *w->spans, by_start);
        cut_rings(w);
    }
    sm_jaeger_trace_id(trace->id, hex);
    sm_buf_printf(out, "{\"traceID\":\"%s\",\"spans\":[", hex);
    for (uint32_t i = 0; i < w->count; i++) {
        sm_buf_puts(out, i ? "," : "");
        put_span(out, trace->id, &w->spans[i], raw, i ? NULL : trace);
    }
    sm_buf_puts(out, "],\"processes\":{");
    for (uint32_t i = 0; i < w->process_count; i++) {
        sm_buf_printf(out, "%s\"p%u\":", i ? "," : "", i + 1);
        put_process(out, w->processes[i], raw);
    }
    sm_buf_puts(out, "},\"warnings\":");
    put_warnings(out, trace, false);
    sm_buf_putc(out, '}');
}
