/* Span descriptions: options of `span`. The table of wire formats. */
#include "spans.h"

#include "words.h"

#include <stdlib.h>

static const struct span_format formats[] = {
    {"otlp", &sm_codec_otlp_proto, span_encode_otlp},
    {"otlp_json", &sm_codec_otlp_json, span_encode_otlp_json},
    {"zipkin_v2_json", &sm_codec_zipkin_json, span_encode_zipkin_v2_json},
    {"zipkin_proto", &sm_codec_zipkin_proto, span_encode_zipkin_proto},
    {"zipkin_v1_json", &sm_codec_zipkin_v1_json, span_encode_zipkin_v1_json},
    {"jaeger", &sm_codec_jaeger_proto, span_encode_jaeger},
};

const struct span_format *span_format_find(const char *name)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}

/* --- ids --- */

/* Hex of any length, padded on the left to `size` bytes. */
static bool padded_id(const char *text, size_t size, struct span_id *id)
{
    char digits[2 * SPAN_ID_BYTES_MAX + 1];
    size_t n = strlen(text);
    if (n == 0 || n > 2 * size)
        return false;
    memset(digits, '0', 2 * size);
    memcpy(digits + 2 * size - n, text, n + 1);
    id->size = words_hex(digits, id->bytes, size);
    return id->size == size;
}

/* "=0102": these very bytes; "=": none. */
static bool take_id(const char *text, size_t size, struct span_id *id)
{
    if (text[0] != '=')
        return padded_id(text, size, id);
    id->size = words_hex(text + 1, id->bytes, sizeof id->bytes);
    return id->size != SIZE_MAX;
}

static void count_up(struct span_id *id, size_t by)
{
    for (size_t i = id->size; i-- > 0 && by; by >>= 8) {
        size_t sum = id->bytes[i] + (by & 0xff);
        id->bytes[i] = (uint8_t)sum;
        by += (sum >> 8) << 8;
    }
}

/* --- options --- */

struct context {
    struct span_desc *span;
    int64_t start_ns, now_ns; /* of the scenario */
};

static void replace(char **text, const char *with)
{
    free(*text);
    *text = sm_xstrndup(with, strlen(with));
}

static bool take_attr(struct span_attrs *attrs, const char *text, bool is_int)
{
    const char *equals = strchr(text, '=');
    if (!equals || attrs->count == SPAN_ATTRS_MAX)
        return false;
    attrs->items[attrs->count++] = (struct span_attr){sm_xstrndup(text, (size_t)(equals - text)),
                                                      sm_xstrndup(equals + 1, strlen(equals + 1)), is_int};
    return true;
}

static bool on_trace(struct context *c, const char *v)
{
    c->span->trace64 = strlen(v) <= 16;
    return take_id(v, 16, &c->span->trace);
}

static bool on_id(struct context *c, const char *v)
{
    return take_id(v, 8, &c->span->id);
}

static bool on_parent(struct context *c, const char *v)
{
    return take_id(v, 8, &c->span->parent);
}

static bool on_service(struct context *c, const char *v)
{
    replace(&c->span->service, v);
    return true;
}

static bool on_name(struct context *c, const char *v)
{
    replace(&c->span->name, v);
    return true;
}

static bool on_remote(struct context *c, const char *v)
{
    replace(&c->span->remote, v);
    return true;
}

static bool on_kind(struct context *c, const char *v)
{
    for (int k = SM_KIND_UNSPECIFIED; k <= SM_KIND_CONSUMER; k++) {
        if (strcmp(v, sm_kind_name((enum sm_kind)k)) == 0) {
            c->span->kind = (enum sm_kind)k;
            return true;
        }
    }
    return false;
}

/* From the scenario's start. */
static bool on_start(struct context *c, const char *v)
{
    int64_t ns;
    bool ok = words_duration(v, &ns);
    c->span->start_ns = c->start_ns + ns;
    return ok;
}

/* Before now. */
static bool on_ago(struct context *c, const char *v)
{
    int64_t ns;
    bool ok = words_duration(v, &ns);
    c->span->start_ns = c->now_ns - ns;
    return ok;
}

static bool on_nostart(struct context *c, const char *v)
{
    (void)v;
    c->span->start_ns = -1;
    return true;
}

static bool on_duration(struct context *c, const char *v)
{
    return words_duration(v, &c->span->duration_ns);
}

static bool on_error(struct context *c, const char *v)
{
    (void)v;
    c->span->status = SM_STATUS_ERROR;
    return true;
}

static bool on_ok(struct context *c, const char *v)
{
    (void)v;
    c->span->status = SM_STATUS_OK;
    return true;
}

static bool on_message(struct context *c, const char *v)
{
    replace(&c->span->message, v);
    return true;
}

static bool on_attr(struct context *c, const char *v)
{
    return take_attr(&c->span->attrs, v, false);
}

static bool on_int(struct context *c, const char *v)
{
    return take_attr(&c->span->attrs, v, true);
}

static bool on_resource(struct context *c, const char *v)
{
    return take_attr(&c->span->resource, v, false);
}

static bool on_shared(struct context *c, const char *v)
{
    (void)v;
    c->span->shared = true;
    return true;
}

static bool on_debug(struct context *c, const char *v)
{
    (void)v;
    c->span->debug = true;
    return true;
}

static bool on_tracestate(struct context *c, const char *v)
{
    replace(&c->span->tracestate, v);
    return true;
}

static bool on_flags(struct context *c, const char *v)
{
    char *end;
    c->span->flags = (uint32_t)strtoul(v, &end, 16);
    return !*end;
}

/* TRACE:SPAN */
static bool on_link(struct context *c, const char *v)
{
    char trace[SM_TRACE_ID_HEX_SIZE];
    const char *colon = strchr(v, ':');
    if (!colon || colon - v >= (ptrdiff_t)sizeof trace)
        return false;
    memcpy(trace, v, (size_t)(colon - v));
    trace[colon - v] = '\0';
    return take_id(trace, 16, &c->span->link_trace) && take_id(colon + 1, 8, &c->span->link_id);
}

static bool on_repeat(struct context *c, const char *v)
{
    uint64_t n;
    bool ok = words_number(v, &n) && n > 0 && n <= 1000000;
    c->span->repeat = ok ? n : 1;
    return ok;
}

static bool on_spread(struct context *c, const char *v)
{
    (void)v;
    return c->span->spread = true;
}

static bool on_pad(struct context *c, const char *v)
{
    uint64_t n;
    bool ok = words_number(v, &n) && n <= 64 * SM_MIB;
    c->span->pad = ok ? n : 0;
    return ok;
}

static const struct option {
    const char *name;
    bool has_value;
    bool (*take)(struct context *c, const char *value);
} options[] = {
    {"-trace", true, on_trace},       {"-id", true, on_id},         {"-parent", true, on_parent},
    {"-svc", true, on_service},       {"-name", true, on_name},     {"-remote", true, on_remote},
    {"-kind", true, on_kind},         {"-start", true, on_start},   {"-ago", true, on_ago},
    {"-nostart", false, on_nostart},  {"-dur", true, on_duration},  {"-error", false, on_error},
    {"-ok", false, on_ok},            {"-message", true, on_message}, {"-attr", true, on_attr},
    {"-int", true, on_int},           {"-resource", true, on_resource}, {"-shared", false, on_shared},
    {"-debug", false, on_debug},      {"-tracestate", true, on_tracestate}, {"-flags", true, on_flags},
    {"-link", true, on_link},         {"-repeat", true, on_repeat}, {"-spread", false, on_spread},
    {"-pad", true, on_pad},
};

static const struct option *find_option(const char *word)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(options); i++) {
        if (strcmp(options[i].name, word) == 0)
            return &options[i];
    }
    return NULL;
}

static bool take_options(struct context *c, const struct script_words *words, char why[128])
{
    for (unsigned i = 1; i < words->count; i++) {
        const struct option *o = find_option(words->items[i]);
        const char *value = o && o->has_value && i + 1 < words->count ? words->items[i + 1] : NULL;
        if (!o || (o->has_value && !value)) {
            snprintf(why, 128, "%.60s: %s", words->items[i], o ? "needs a value" : "no such option of span");
            return false;
        }
        if (!o->take(c, value)) {
            snprintf(why, 128, "%.20s %.60s: not understood", o->name, value ? value : "");
            return false;
        }
        i += o->has_value;
    }
    return true;
}

/* --- lists --- */

static void attrs_fini(struct span_attrs *attrs)
{
    for (unsigned i = 0; i < attrs->count; i++) {
        free(attrs->items[i].key);
        free(attrs->items[i].value);
    }
}

static void span_fini(struct span_desc *s)
{
    free(s->service);
    free(s->name);
    free(s->remote);
    free(s->message);
    free(s->tracestate);
    attrs_fini(&s->attrs);
    attrs_fini(&s->resource);
}

/* With the first %d replaced. */
static char *copy(const char *text, size_t index)
{
    if (!text)
        return NULL;
    const char *at = strstr(text, "%d");
    size_t size = strlen(text);
    if (!at)
        return sm_xstrndup(text, size);
    char *filled = sm_xmalloc(size + 24);
    snprintf(filled, size + 24, "%.*s%zu%s", (int)(at - text), text, index, at + 2);
    return filled;
}

static struct span_attrs attrs_copy(const struct span_attrs *from, size_t index)
{
    struct span_attrs to = *from;
    for (unsigned i = 0; i < to.count; i++) {
        to.items[i].key = copy(from->items[i].key, index);
        to.items[i].value = copy(from->items[i].value, index);
    }
    return to;
}

static void append(struct span_list *list, const struct span_desc *span, size_t index)
{
    list->items = sm_xrealloc(list->items, (list->count + 1) * sizeof *list->items);
    struct span_desc *s = &list->items[list->count++];
    *s = *span;
    s->service = copy(span->service, index);
    s->name = copy(span->name, index);
    s->remote = copy(span->remote, index);
    s->message = copy(span->message, index);
    s->tracestate = copy(span->tracestate, index);
    s->attrs = attrs_copy(&span->attrs, index);
    s->resource = attrs_copy(&span->resource, index);
    count_up(span->spread ? &s->trace : &s->id, index);
}

bool span_list_add(struct span_list *list, const struct script_words *words, const char *service, int64_t start_ns,
                   int64_t now_ns, char why[128])
{
    struct span_desc span = {.start_ns = now_ns, .duration_ns = 10 * SM_MS, .repeat = 1};
    struct context c = {&span, start_ns, now_ns};
    span.service = service ? sm_xstrndup(service, strlen(service)) : NULL;
    replace(&span.name, "op");
    bool ok = take_options(&c, words, why);
    for (size_t i = 0; ok && i < span.repeat; i++)
        append(list, &span, i);
    span_fini(&span);
    return ok;
}

void span_list_fini(struct span_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        span_fini(&list->items[i]);
    free(list->items);
    *list = (struct span_list){0};
}

/* --- shared by encoders --- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_resource(const struct span_desc *a, const struct span_desc *b)
{
    if (!same_text(a->service, b->service) || a->resource.count != b->resource.count)
        return false;
    for (unsigned i = 0; i < a->resource.count; i++) {
        if (strcmp(a->resource.items[i].key, b->resource.items[i].key) != 0 ||
            strcmp(a->resource.items[i].value, b->resource.items[i].value) != 0)
            return false;
    }
    return true;
}

size_t span_resource_run(const struct span_desc *spans, size_t count)
{
    size_t n = 1;
    while (n < count && same_resource(&spans[0], &spans[n]))
        n++;
    return n;
}

void span_put_hex(struct sm_buf *out, const struct span_id *id)
{
    for (size_t i = 0; i < id->size; i++)
        sm_buf_printf(out, "%02x", id->bytes[i]);
}
