/* JSON pull reader over a byte range: no tree, no allocation, strict RFC 8259.
 *
 * The caller walks the document and says what it expects; the reader checks syntax as it goes. Strict means: UTF-8 only
 * (RFC 3629), no control characters in strings, only the eight escapes and \u, numbers by the grammar, depth capped, nothing but
 * white space after the document (sm_json_end). Half a surrogate pair, which the grammar allows, is read as U+FFFD. The first error
 * sticks: from then on every function answers false at once, so that callers check the error where their loops end.
 *
 *     struct sm_json j = sm_json_reader(bytes, size, SM_JSON_DEPTH_DEFAULT);
 *     struct sm_json_text key;
 *     for (bool more = sm_json_object(&j, &key); more; more = sm_json_member(&j, &key)) {
 *         if (sm_json_is(&key, "id")) ... read the value ...
 *         else sm_json_skip(&j);
 *     }
 *     rc = sm_json_end(&j, &err);
 *
 * Each key must be followed by reading exactly one value. Views point into the document and live as long as it does. No
 * readable bytes past the end are needed. Any thread; a reader belongs to one. */
#ifndef SM_JSON_H
#define SM_JSON_H

#include "base/base.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SM_JSON_DEPTH_DEFAULT   32
#define SM_JSON_NUMBER_SIZE_MAX 512 /* longer numbers are an error */

struct sm_json {
    const uint8_t *p, *end;
    const uint8_t *start;
    const uint8_t *error_at;
    const char *error; /* a static text; NULL while all is well */
    uint32_t depth;
    uint32_t depth_max;
};

/* A string as it stands between its quotes. When `escaped`, sm_json_unescape gives its meaning. */
struct sm_json_text {
    const uint8_t *ptr;
    size_t len;
    bool escaped;
};

enum sm_json_type {
    SM_JSON_NONE, /* end of input or a byte that starts no value */
    SM_JSON_NULL,
    SM_JSON_BOOL,
    SM_JSON_NUMBER,
    SM_JSON_STRING,
    SM_JSON_ARRAY,
    SM_JSON_OBJECT,
};

/* Whole numbers are kept exactly where 64 bits allow; the rest, and "-0", are doubles. */
struct sm_json_number {
    enum { SM_JSON_INT, SM_JSON_UINT, SM_JSON_DOUBLE } type; /* UINT: above INT64_MAX */
    union {
        int64_t i;
        uint64_t u;
        double d;
    };
};

static inline struct sm_json sm_json_reader(const void *bytes, size_t size, uint32_t depth_max)
{
    const uint8_t *p = (const uint8_t *)bytes;
    const uint8_t *end = size ? p + size : p; /* a document of no bytes may be NULL */
    return (struct sm_json){.p = p, .end = end, .start = p, .depth_max = depth_max};
}

/* Records the first error, `text` being a static string, at the current position; answers false. For callers too: what a
 * value means is theirs to check. */
bool sm_json_fail(struct sm_json *j, const char *text) SM_COLD;

/* The document must end here. SM_OK, or the sticky error: SM_E_TRUNCATED at the end of input, else SM_E_INVALID;
 * err says what and at which byte. */
enum sm_rc sm_json_end(struct sm_json *j, struct sm_err *err) SM_MUST_USE;

SM_INLINE void sm_json_space(struct sm_json *j)
{
    while (j->p < j->end && *j->p <= ' ' && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
        j->p++;
}

/* What comes next, without consuming it (white space is). */
SM_INLINE enum sm_json_type sm_json_peek(struct sm_json *j)
{
    static const uint8_t types[256] = {
        ['n'] = SM_JSON_NULL,   ['t'] = SM_JSON_BOOL,   ['f'] = SM_JSON_BOOL,         ['"'] = SM_JSON_STRING,
        ['['] = SM_JSON_ARRAY,  ['{'] = SM_JSON_OBJECT, ['0' ... '9'] = SM_JSON_NUMBER, ['-'] = SM_JSON_NUMBER,
    };
    sm_json_space(j);
    return SM_LIKELY(j->p < j->end) ? (enum sm_json_type)types[*j->p] : SM_JSON_NONE;
}

/* Continues behind an opening quote at `p`. */
bool sm_json_text_slow(struct sm_json *j, const uint8_t *p, struct sm_json_text *text);

SM_INLINE bool sm_json_string(struct sm_json *j, struct sm_json_text *text)
{
    sm_json_space(j);
    const uint8_t *p = j->p;
    if (SM_UNLIKELY(p == j->end || *p != '"'))
        return sm_json_fail(j, "expected a string");
    p++;
#if defined(__SSE2__)
    if (SM_LIKELY(j->end - p >= 16)) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        __m128i special = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(' ')), /* signed: bytes above ASCII as well */
                                       _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                                    _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (SM_LIKELY(mask)) {
            unsigned n = (unsigned)__builtin_ctz(mask);
            if (SM_LIKELY(p[n] == '"')) {
                *text = (struct sm_json_text){p, n, false};
                j->p = p + n + 1;
                return true;
            }
        }
    }
#endif
    return sm_json_text_slow(j, p, text);
}

SM_INLINE bool sm_json_key(struct sm_json *j, struct sm_json_text *key)
{
    if (SM_UNLIKELY(!sm_json_string(j, key)))
        return false;
    sm_json_space(j);
    if (SM_UNLIKELY(j->p == j->end || *j->p != ':'))
        return sm_json_fail(j, "expected ':'");
    j->p++;
    return true;
}

/* Opens an object and reads its first key; false for an empty one (consumed) and at errors. */
SM_INLINE bool sm_json_object(struct sm_json *j, struct sm_json_text *key)
{
    sm_json_space(j);
    if (SM_UNLIKELY(j->p == j->end || *j->p != '{'))
        return sm_json_fail(j, "expected an object");
    if (SM_UNLIKELY(j->depth == j->depth_max))
        return sm_json_fail(j, "nested too deeply");
    j->p++;
    sm_json_space(j);
    if (j->p < j->end && *j->p == '}') {
        j->p++;
        return false;
    }
    j->depth++;
    return sm_json_key(j, key);
}

/* The next key of the innermost object; false behind its end and at errors. */
SM_INLINE bool sm_json_member(struct sm_json *j, struct sm_json_text *key)
{
    sm_json_space(j);
    if (SM_LIKELY(j->p < j->end)) {
        if (SM_LIKELY(*j->p == ',')) {
            j->p++;
            return sm_json_key(j, key);
        }
        if (SM_LIKELY(*j->p == '}')) {
            j->p++;
            j->depth--;
            return false;
        }
    }
    return sm_json_fail(j, "expected ',' or '}'");
}

/* Opens an array; true when there is a first element to read. */
SM_INLINE bool sm_json_array(struct sm_json *j)
{
    sm_json_space(j);
    if (SM_UNLIKELY(j->p == j->end || *j->p != '['))
        return sm_json_fail(j, "expected an array");
    if (SM_UNLIKELY(j->depth == j->depth_max))
        return sm_json_fail(j, "nested too deeply");
    j->p++;
    sm_json_space(j);
    if (j->p < j->end && *j->p == ']') {
        j->p++;
        return false;
    }
    j->depth++;
    return true;
}

/* Behind an element: true when another follows. */
SM_INLINE bool sm_json_element(struct sm_json *j)
{
    sm_json_space(j);
    if (SM_LIKELY(j->p < j->end)) {
        if (*j->p == ',') {
            j->p++;
            return true;
        }
        if (SM_LIKELY(*j->p == ']')) {
            j->p++;
            j->depth--;
            return false;
        }
    }
    return sm_json_fail(j, "expected ',' or ']'");
}

/* Consumes a null if that is what comes next. */
SM_INLINE bool sm_json_null(struct sm_json *j)
{
    sm_json_space(j);
    if (SM_LIKELY(j->end - j->p < 4 || memcmp(j->p, "null", 4) != 0))
        return false;
    j->p += 4;
    return true;
}

/* A value of this type; anything else is an error. A number beyond a double's range is one, too. */
bool sm_json_bool(struct sm_json *j, bool *value);
bool sm_json_number(struct sm_json *j, struct sm_json_number *number);

/* The common number at p: whole, not negative, of at most 19 digits, below 2^63. Returns the position behind it, NULL when it is something
 * else (also when a fraction or an exponent follows). */
const uint8_t *sm_json_small_int(const uint8_t *p, const uint8_t *end, int64_t *value);

/* Any value, checked and passed over; the second gives its text. */
bool sm_json_skip(struct sm_json *j);
bool sm_json_raw(struct sm_json *j, struct sm_str *text);

/* A key or string without escapes, compared with a literal. */
#define sm_json_is(text, literal)                                                                                      \
    ((text)->len == sizeof(literal) - 1 && memcmp((text)->ptr, (literal), sizeof(literal) - 1) == 0)

/* Makes an escaped text of up to `size` bytes plain in `buffer`; a longer one is left as it is. For comparing keys. */
void sm_json_plain(struct sm_json_text *text, uint8_t *buffer, size_t size);

/* Writes what an escaped string means; at most text->len bytes. Returns the length. */
size_t sm_json_unescape(const struct sm_json_text *text, uint8_t *out);

/* The whole of `text` as a number by JSON's grammar (for numbers in strings). */
bool sm_json_number_parse(struct sm_str text, struct sm_json_number *number);

/* Exact conversions; false when the number has a fraction or does not fit. */
bool sm_json_number_int64(const struct sm_json_number *number, int64_t *value);
bool sm_json_number_uint64(const struct sm_json_number *number, uint64_t *value);
double sm_json_number_double(const struct sm_json_number *number);

/* A double as protobuf's JSON form has it in quotes: a number, "NaN", "Infinity" or "-Infinity". False: it is something else. */
bool sm_json_double_parse(struct sm_str text, double *value);

#endif
