/* Decoding of targets, and of the values that parameters have. */
#include "query/request.h"
#include "base/base64.h"
#include "base/utf8.h"

#include <stdlib.h>

/* ---- target ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Writes the meaning of `in` at *at and moves it on. */
static bool decode(struct sm_str in, bool plus_is_space, char **at, struct sm_str *out)
{
    char *p = *at;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '%') {
            int hi = in.len - i > 2 ? hex_digit(in.ptr[i + 1]) : -1, lo = hi >= 0 ? hex_digit(in.ptr[i + 2]) : -1;
            if (lo < 0)
                return false;
            *p++ = (char)(hi << 4 | lo);
            i += 2;
        } else {
            *p++ = c == '+' && plus_is_space ? ' ' : c;
        }
    }
    *out = sm_str(*at, (size_t)(p - *at));
    *at = p;
    return sm_utf8_valid(out->ptr, out->len);
}

/* The part of *rest in front of `separator`, which is consumed; false when nothing is left. */
static bool next_part(struct sm_str *rest, char separator, struct sm_str *part)
{
    if (!rest->ptr)
        return false;
    const char *mark = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    *part = mark ? sm_str(rest->ptr, (size_t)(mark - rest->ptr)) : *rest;
    *rest = mark ? sm_str(mark + 1, rest->len - part->len - 1) : (struct sm_str){NULL, 0};
    return true;
}

static void cut_base(struct sm_str *path, const char *base_path)
{
    struct sm_str base = base_path ? sm_str_c(base_path) : (struct sm_str){NULL, 0};
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    if (path->len < base.len || (base.len && memcmp(path->ptr, base.ptr, base.len) != 0))
        return;
    if (path->len == base.len || path->ptr[base.len] == '/')
        *path = sm_str(path->ptr + base.len, path->len - base.len);
}

static enum sm_rc take_path(struct sm_query_request *r, struct sm_str path, char **at)
{
    struct sm_str part;
    while (next_part(&path, '/', &part)) {
        if (part.len == 0)
            continue;
        if (r->segment_count == SM_QUERY_SEGMENTS_MAX)
            return SM_E_NOTFOUND;
        if (!decode(part, false, at, &r->segments[r->segment_count++]))
            return SM_E_INVALID;
    }
    return SM_OK;
}

static uint32_t count_parts(struct sm_str text, char separator)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == separator;
    return n + 1;
}

static enum sm_rc take_params(struct sm_query_request *r, struct sm_str query, char **at)
{
    uint32_t count = count_parts(query, '&');
    if (count > SM_QUERY_PARAMS_MAX)
        return SM_E_LIMIT;
    r->params = sm_xcalloc(count, sizeof *r->params);
    struct sm_str part;
    while (next_part(&query, '&', &part)) {
        if (part.len == 0)
            continue;
        struct sm_query_param *p = &r->params[r->param_count++];
        const char *mark = memchr(part.ptr, '=', part.len);
        struct sm_str name = mark ? sm_str(part.ptr, (size_t)(mark - part.ptr)) : part;
        struct sm_str value = mark ? sm_str(mark + 1, part.len - name.len - 1) : SM_STR("");
        if (!decode(name, true, at, &p->name) || !decode(value, true, at, &p->value))
            return SM_E_INVALID;
    }
    return SM_OK;
}

enum sm_rc sm_query_request_init(struct sm_query_request *r, struct sm_str path, struct sm_str query, const char *base_path,
                                 int64_t now_ns)
{
    *r = (struct sm_query_request){.now_ns = now_ns};
    cut_base(&path, base_path);
    char *at = r->text = sm_xmalloc(path.len + query.len + 1);
    enum sm_rc rc = take_path(r, path, &at);
    if (rc == SM_OK)
        rc = take_params(r, query, &at);
    if (rc != SM_OK)
        sm_query_request_fini(r);
    return rc;
}

void sm_query_request_fini(struct sm_query_request *r)
{
    free(r->params);
    free(r->text);
    *r = (struct sm_query_request){0};
}

struct sm_str sm_query_param(const struct sm_query_request *r, const char *name)
{
    struct sm_str wanted = sm_str_c(name);
    for (uint32_t i = 0; i < r->param_count; i++) {
        if (sm_str_eq(r->params[i].name, wanted))
            return r->params[i].value;
    }
    return (struct sm_str){NULL, 0};
}

struct sm_str sm_query_param_either(const struct sm_query_request *r, const char *name, const char *other)
{
    struct sm_str value = sm_query_param(r, name);
    return value.len ? value : sm_query_param(r, other);
}

/* ---- numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum sm_rc sm_query_int(struct sm_str text, int64_t *value)
{
    bool negative = text.len && text.ptr[0] == '-';
    size_t i = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    int64_t v = 0;
    if (i == text.len)
        return SM_E_INVALID;
    for (; i < text.len; i++) {
        if (!is_digit(text.ptr[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, text.ptr[i] - '0', &v))
            return SM_E_INVALID;
    }
    if (!negative && v == INT64_MIN)
        return SM_E_INVALID;
    *value = negative ? v : -v;
    return SM_OK;
}

enum sm_rc sm_query_epoch(struct sm_str text, int64_t *ns)
{
    int64_t v;
    if (sm_query_int(text, &v) != SM_OK || v < 0)
        return SM_E_INVALID;
    return __builtin_mul_overflow(v, v < INT64_C(100000000000000) ? SM_MS : SM_US, ns) ? SM_E_INVALID : SM_OK;
}

/* ---- durations ---- */

static int64_t unit_of(struct sm_str *rest)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},
                 {"us", SM_US},
                 {"\xc2\xb5s", SM_US}, /* micro sign */
                 {"\xce\xbcs", SM_US}, /* Greek mu */
                 {"ms", SM_MS},
                 {"s", SM_SEC},
                 {"m", 60 * SM_SEC},
                 {"h", 3600 * SM_SEC}};
    for (size_t i = 0; i < SM_ARRAY_LEN(units); i++) {
        size_t n = strlen(units[i].name);
        if (rest->len >= n && memcmp(rest->ptr, units[i].name, n) == 0) {
            *rest = sm_str(rest->ptr + n, rest->len - n);
            return units[i].ns;
        }
    }
    return 0;
}

/* One "1.5h" at the front of *rest, added to *ns. */
static bool take_duration_part(struct sm_str *rest, int64_t *ns)
{
    int64_t whole = 0;
    double fraction = 0, scale = 1;
    bool digits = false;
    for (; rest->len && is_digit(*rest->ptr); rest->ptr++, rest->len--, digits = true) {
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *rest->ptr - '0', &whole))
            return false;
    }
    if (rest->len && *rest->ptr == '.') {
        for (rest->ptr++, rest->len--; rest->len && is_digit(*rest->ptr); rest->ptr++, rest->len--, digits = true)
            fraction += (*rest->ptr - '0') * (scale /= 10);
    }
    int64_t unit = digits ? unit_of(rest) : 0;
    int64_t add;
    return unit && !__builtin_mul_overflow(whole, unit, &add) && !__builtin_add_overflow(*ns, add, ns) &&
           !__builtin_add_overflow(*ns, (int64_t)(fraction * (double)unit + 0.5), ns);
}

enum sm_rc sm_query_go_duration(struct sm_str text, int64_t *ns)
{
    bool negative = text.len && text.ptr[0] == '-';
    size_t sign = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    struct sm_str rest = sm_str(text.ptr + sign, text.len - sign);
    *ns = 0;
    if (sm_str_eq(rest, SM_STR("0")))
        return SM_OK;
    if (rest.len == 0)
        return SM_E_INVALID;
    while (rest.len) {
        if (!take_duration_part(&rest, ns))
            return SM_E_INVALID;
    }
    *ns = negative ? -*ns : *ns;
    return SM_OK;
}

/* ---- ids ---- */

/* Returns how many bytes there are, 0 when it is no base64 of at most 16. A plus sign that nobody encoded comes as a space. */
static size_t base64_decode(struct sm_str text, uint8_t out[18])
{
    char plain[24];
    if (text.len > sizeof plain)
        return 0;
    for (size_t i = 0; i < text.len; i++)
        plain[i] = text.ptr[i] == ' ' ? '+' : text.ptr[i];
    const uint8_t *end = sm_base64_decode(sm_str(plain, text.len), out);
    return end ? (size_t)(end - out) : 0;
}

enum sm_rc sm_query_trace_id(struct sm_str text, struct sm_trace_id *id)
{
    uint8_t bytes[18];
    if (sm_trace_id_parse(text, id) == SM_OK)
        return SM_OK;
    size_t n = base64_decode(text, bytes);
    if (n != 8 && n != 16)
        return SM_E_INVALID;
    *id = (struct sm_trace_id){.hi = n == 16 ? sm_load_be64(bytes) : 0, .lo = sm_load_be64(bytes + n - 8)};
    return id->hi || id->lo ? SM_OK : SM_E_INVALID;
}
