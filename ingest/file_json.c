/* Telling JSON documents apart. */
#include "ingest/file_json.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A line that begins an object where none can be, or that ends within a string, which JSON does not have: what stood in front of it
 * was cut. */
static bool was_cut(const struct sm_file_json_scan *s, const uint8_t *p, size_t at)
{
    if (s->in_string)
        return p[at] == '\n';
    return p[at] == '{' && s->depth && p[at - 1] == '\n' && s->last != ',' && s->last != '[' && s->last != ':';
}

static void in_string(struct sm_file_json_scan *s, uint8_t c)
{
    s->in_string = s->escaped || c != '"';
    s->escaped = !s->escaped && c == '\\';
}

/* True at the bracket that closes the first one. */
static bool step(struct sm_file_json_scan *s, uint8_t c)
{
    switch (c) {
    case '"':
        s->in_string = true;
        break;
    case '{':
    case '[':
        s->depth++;
        break;
    case '}':
    case ']':
        s->depth--;
        break;
    default:
        break;
    }
    return s->depth == 0;
}

bool sm_file_json_scan(struct sm_file_json_scan *s, const uint8_t *p, size_t n)
{
    for (; s->size < n; s->size++) {
        uint8_t c = p[s->size];
        if (SM_UNLIKELY((c == '\n' || c == '{') && was_cut(s, p, s->size)))
            return true;
        s->lines |= c == '\n';
        if (s->in_string) {
            in_string(s, c);
            continue;
        }
        if (is_space(c))
            continue;
        s->last = c;
        if (step(s, c)) {
            s->size++;
            return true;
        }
    }
    return false;
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* The first key of the object that begins at p, with its quotes; empty when there is none. */
static struct sm_str first_key(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *from = p < end ? skip_space(p + 1, end) : end;
    const uint8_t *to = from < end && *from == '"' ? memchr(from + 1, '"', (size_t)(end - from - 1)) : NULL;
    return to ? sm_str(from, (size_t)(to + 1 - from)) : sm_str(end, 0);
}

static bool is_one_of(struct sm_str text, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (sm_str_eq(text, sm_str_c(names[i])))
            return true;
    }
    return false;
}

/* What Jaeger's UI downloads begins with its traces, as a rule; a trace by itself may as well begin with its spans or its processes. */
static bool is_jaeger_ui(struct sm_str key)
{
    static const char *const keys[] = {"\"data\"",  "\"traceID\"", "\"spans\"",  "\"processes\"",
                                       "\"total\"", "\"limit\"",   "\"offset\"", "\"errors\""};
    return is_one_of(key, keys, SM_ARRAY_LEN(keys));
}

static bool is_otlp(struct sm_str key)
{
    static const char *const keys[] = {"\"resourceSpans\"", "\"resource_spans\"", "\"result\""};
    return is_one_of(key, keys, SM_ARRAY_LEN(keys));
}

/* Of Jaeger's api_v2, as it is written to Kafka, or of Zipkin's. */
static bool is_span(struct sm_str key)
{
    static const char *const keys[] = {"\"traceId\"", "\"trace_id\"", "\"spanId\"", "\"span_id\""};
    return is_one_of(key, keys, SM_ARRAY_LEN(keys));
}

bool sm_file_json_is_list(const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    if (n == 0 || *p != '[')
        return false;
    p = skip_space(p + 1, end);
    if (p == end || *p != '{')
        return p < end && *p == '[';
    struct sm_str key = first_key(p, end);
    return is_jaeger_ui(key) || is_otlp(key);
}

/* {"result": {...}} */
static void open_envelope(struct sm_str *document)
{
    const char *from = memchr(document->ptr + 1, '{', document->len - 1), *end = document->ptr + document->len - 1;
    if (from && *end == '}')
        *document = sm_str(from, (size_t)(end - from));
}

const struct sm_codec *sm_file_json_codec(struct sm_str *document)
{
    const uint8_t *p = (const uint8_t *)document->ptr, *end = p + document->len;
    if (document->len && *p == '[')
        return &sm_codec_zipkin_any;
    struct sm_str key = first_key(p, end);
    if (is_jaeger_ui(key))
        return &sm_codec_jaeger_ui_json;
    if (is_span(key))
        return memmem(p, document->len, "\"operation", 10) ? &sm_codec_jaeger_json : &sm_codec_zipkin_any;
    if (sm_str_eq(key, SM_STR("\"result\"")))
        open_envelope(document);
    return &sm_codec_otlp_json;
}
