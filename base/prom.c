/* Prometheus text format 0.0.4 and OpenMetrics 1.0. */
#include "base/prom.h"

#include "base/header.h"
#include "base/json_out.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

const char *sm_prom_content_type(enum sm_prom_format format)
{
    return format == SM_PROM_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                         : "text/plain; version=0.0.4; charset=utf-8";
}

/* A weight "0.5" as thousandths; 0 for what is not one. */
static unsigned weight(struct sm_str text)
{
    char copy[8] = "";
    if (text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.ptr, text.len);
    char *end;
    double q = strtod(copy, &end);
    return *end == 0 && q > 0 && q <= 1 ? (unsigned)(q * 1000 + 0.5) : 0;
}

enum sm_prom_format sm_prom_negotiate(struct sm_str accept)
{
    unsigned text = 0, openmetrics = 0;
    while (accept.len) {
        struct sm_str range = sm_header_cut(&accept, ',');
        struct sm_str type = sm_header_cut(&range, ';');
        unsigned q = 1000;
        bool version_known = true;
        while (range.len) {
            struct sm_str value = sm_header_cut(&range, ';');
            struct sm_str name = sm_header_cut(&value, '=');
            if (sm_header_is(name, SM_STR("q")))
                q = weight(value);
            else if (sm_header_is(name, SM_STR("version")))
                version_known = sm_str_eq(value, SM_STR("1.0.0")) || sm_str_eq(value, SM_STR("0.0.1"));
        }
        if (sm_header_is(type, SM_STR("application/openmetrics-text")) && version_known)
            openmetrics = SM_MAX(openmetrics, q);
        else if (sm_header_is(type, SM_STR("text/plain")))
            text = SM_MAX(text, q);
    }
    return openmetrics > 0 && openmetrics >= text ? SM_PROM_OPENMETRICS : SM_PROM_TEXT;
}

/* The length of the part at the front that can be written as it is. */
static size_t plain_size(struct sm_str s)
{
    size_t at = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        if (c == '\\' || c == '"' || c == '\n')
            break;
        size_t n = sm_utf8_char((const uint8_t *)s.ptr + at, (const uint8_t *)s.ptr + s.len);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

static void put_escaped(struct sm_buf *out, struct sm_str s)
{
    for (;;) {
        size_t n = plain_size(s);
        sm_buf_put(out, s.ptr, n);
        if (n == s.len)
            return;
        char c = s.ptr[n];
        if (c == '\n')
            sm_buf_puts(out, "\\n");
        else if (c == '\\')
            sm_buf_puts(out, "\\\\");
        else if (c == '"')
            sm_buf_puts(out, "\\\"");
        else
            sm_buf_puts(out, "\xef\xbf\xbd");
        s = sm_str(s.ptr + n + 1, s.len - n - 1);
    }
}

void sm_prom_label(struct sm_buf *labels, struct sm_str name, struct sm_str value)
{
    if (labels->size)
        sm_buf_putc(labels, ',');
    sm_buf_put_str(labels, name);
    sm_buf_puts(labels, "=\"");
    put_escaped(labels, value);
    sm_buf_putc(labels, '"');
}

void sm_prom_begin(struct sm_prom *p, struct sm_buf *out, enum sm_prom_format format)
{
    p->out = out;
    p->format = format;
    p->type = SM_PROM_GAUGE;
    p->name = NULL;
    p->stem_size = 0;
    p->seen_count = 0;
    p->drain = NULL;
}

void sm_prom_end(struct sm_prom *p)
{
    if (p->format == SM_PROM_OPENMETRICS)
        sm_buf_puts(p->out, "# EOF\n");
}

static void remember_family(struct sm_prom *p, const char *name)
{
    for (unsigned i = 0; i < p->seen_count; i++)
        SM_ASSERT(strcmp(p->seen[i], name) != 0);
    SM_ASSERT(p->seen_count < SM_PROM_FAMILIES_MAX);
    p->seen[p->seen_count++] = name;
}

static void put_comment(struct sm_prom *p, const char *what, struct sm_str family, const char *text)
{
    sm_buf_puts(p->out, what);
    sm_buf_put_str(p->out, family);
    sm_buf_putc(p->out, ' ');
    sm_buf_puts(p->out, text);
    sm_buf_putc(p->out, '\n');
}

void sm_prom_family(struct sm_prom *p, const char *name, enum sm_prom_type type, const char *help)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};
    if (p->name && strcmp(p->name, name) == 0)
        return;
    remember_family(p, name);
    p->name = name;
    p->type = type;
    p->stem_size = strlen(name);
    if (type == SM_PROM_COUNTER) {
        SM_ASSERT(p->stem_size > 6 && strcmp(name + p->stem_size - 6, "_total") == 0);
        p->stem_size -= 6;
    }
    bool stem = p->format == SM_PROM_OPENMETRICS; /* which names a counter's family without "_total" */
    struct sm_str family = sm_str(name, stem ? p->stem_size : strlen(name));
    put_comment(p, "# HELP ", family, help);
    put_comment(p, "# TYPE ", family, type_names[type]);
}

/* `name{labels,extra} `, with what is empty left out. */
static void put_series(struct sm_prom *p, size_t name_size, const char *suffix, struct sm_str labels,
                       struct sm_str extra)
{
    if (p->drain && p->out->size >= p->drain->size)
        p->drain->take(p->drain->ctx, p->out);
    sm_buf_put(p->out, p->name, name_size);
    sm_buf_puts(p->out, suffix);
    if (labels.len || extra.len) {
        sm_buf_putc(p->out, '{');
        sm_buf_put_str(p->out, labels);
        if (labels.len && extra.len)
            sm_buf_putc(p->out, ',');
        sm_buf_put_str(p->out, extra);
        sm_buf_putc(p->out, '}');
    }
    sm_buf_putc(p->out, ' ');
}

/* The exact decimal of seconds, with at least one digit after the point: 0.002, 1.0. */
static size_t format_seconds(char out[32], uint64_t s, uint64_t ns)
{
    int n = snprintf(out, 32, "%llu.%09llu", (unsigned long long)(s + ns / SM_SEC), (unsigned long long)(ns % SM_SEC));
    while (out[n - 1] == '0' && out[n - 2] != '.')
        n--;
    return (size_t)n;
}

static void put_seconds(struct sm_buf *out, uint64_t s, uint64_t ns)
{
    char text[32];
    sm_buf_put(out, text, format_seconds(text, s, ns));
}

static void put_double(struct sm_buf *out, double v)
{
    char text[SM_JSON_DOUBLE_SIZE_MAX];
    if (isnan(v) || isinf(v))
        sm_buf_puts(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
    else
        sm_buf_put(out, text, sm_json_format_double(v, text));
}

void sm_prom_uint(struct sm_prom *p, struct sm_str labels, uint64_t value)
{
    put_series(p, strlen(p->name), "", labels, SM_STR(""));
    sm_json_put_uint(p->out, value);
    sm_buf_putc(p->out, '\n');
}

void sm_prom_double(struct sm_prom *p, struct sm_str labels, double value)
{
    put_series(p, strlen(p->name), "", labels, SM_STR(""));
    put_double(p->out, value);
    sm_buf_putc(p->out, '\n');
}

void sm_prom_created(struct sm_prom *p, struct sm_str labels, uint64_t created_ns)
{
    if (p->format != SM_PROM_OPENMETRICS)
        return;
    put_series(p, p->stem_size, "_created", labels, SM_STR(""));
    put_seconds(p->out, 0, created_ns);
    sm_buf_putc(p->out, '\n');
}

static void put_exemplar(struct sm_buf *out, const struct sm_prom_exemplar *e)
{
    sm_buf_puts(out, " # {");
    sm_buf_put_str(out, e->labels);
    sm_buf_puts(out, "} ");
    put_seconds(out, 0, e->value_ns);
    sm_buf_putc(out, ' ');
    put_seconds(out, 0, e->time_ns);
}

static void put_bucket(struct sm_prom *p, struct sm_str labels, struct sm_str le, uint64_t cumulated,
                       const struct sm_prom_exemplar *exemplar)
{
    char text[48] = "le=\"";
    memcpy(text + 4, le.ptr, le.len);
    text[4 + le.len] = '"';
    put_series(p, p->stem_size, "_bucket", labels, sm_str(text, le.len + 5));
    sm_json_put_uint(p->out, cumulated);
    if (exemplar && exemplar->labels.len && p->format == SM_PROM_OPENMETRICS)
        put_exemplar(p->out, exemplar);
    sm_buf_putc(p->out, '\n');
}

void sm_prom_write_histogram(struct sm_prom *p, struct sm_str labels, const struct sm_prom_histogram *h)
{
    uint64_t cumulated = 0;
    for (unsigned i = 0; i <= h->bound_count; i++) {
        char text[32];
        struct sm_str le = SM_STR("+Inf");
        if (i < h->bound_count)
            le = sm_str(text, format_seconds(text, 0, h->bounds_ns[i]));
        cumulated += h->counts[i];
        put_bucket(p, labels, le, cumulated, h->exemplars ? &h->exemplars[i] : NULL);
    }
    put_series(p, p->stem_size, "_sum", labels, SM_STR(""));
    put_seconds(p->out, h->sum_s, h->sum_ns);
    sm_buf_putc(p->out, '\n');
    put_series(p, p->stem_size, "_count", labels, SM_STR(""));
    sm_json_put_uint(p->out, cumulated);
    sm_buf_putc(p->out, '\n');
    if (h->created_ns)
        sm_prom_created(p, labels, h->created_ns);
}

struct collector {
    const char *name;
    void (*collect)(void *ctx, struct sm_prom *p);
    void *ctx;
};

struct sm_prom_registry {
    struct collector *collectors;
    unsigned count;
};

struct sm_prom_registry *sm_prom_registry_new(void)
{
    return sm_xcalloc(1, sizeof(struct sm_prom_registry));
}

void sm_prom_registry_free(struct sm_prom_registry *r)
{
    if (!r)
        return;
    free(r->collectors);
    free(r);
}

void sm_prom_registry_add(struct sm_prom_registry *r, const char *name, void (*collect)(void *ctx, struct sm_prom *p),
                          void *ctx)
{
    for (unsigned i = 0; i < r->count; i++)
        SM_ASSERT(strcmp(r->collectors[i].name, name) != 0);
    r->collectors = sm_xrealloc(r->collectors, (r->count + 1) * sizeof *r->collectors);
    r->collectors[r->count++] = (struct collector){name, collect, ctx};
}

void sm_prom_registry_scrape(const struct sm_prom_registry *r, enum sm_prom_format format, const struct sm_prom_drain *drain,
                             struct sm_buf *out)
{
    struct sm_prom p;
    sm_prom_begin(&p, out, format);
    p.drain = drain;
    for (unsigned i = 0; i < r->count; i++)
        r->collectors[i].collect(r->collectors[i].ctx, &p);
    sm_prom_end(&p);
}
