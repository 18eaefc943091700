/* PCRE2 behind a small front: most patterns in rules are literals, prefixes or suffixes. */
#include "span/traceql/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

enum shape { SHAPE_LITERAL, SHAPE_PREFIX, SHAPE_SUFFIX, SHAPE_CONTAINS, SHAPE_PATTERN };

struct sm_traceql_regex {
    enum shape shape;
    pcre2_code *code; /* SHAPE_PATTERN */
    size_t literal_size;
    char literal[]; /* the other shapes */
};

struct sm_traceql_regex_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    uint64_t given_up;
};

/* The literal between an optional leading and trailing `.*`; SHAPE_PATTERN when there is more to the pattern. */
static enum shape shape_of(struct sm_str pattern, struct sm_str *literal)
{
    bool open_front = pattern.len >= 2 && memcmp(pattern.ptr, ".*", 2) == 0;
    if (open_front)
        pattern = sm_str(pattern.ptr + 2, pattern.len - 2);
    bool open_back = pattern.len >= 2 && memcmp(pattern.ptr + pattern.len - 2, ".*", 2) == 0;
    if (open_back)
        pattern.len -= 2;
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.ptr[i] == '\0' || strchr("\\.+*?()|[]{}^$", pattern.ptr[i]))
            return SHAPE_PATTERN;
    *literal = pattern;
    if (open_front)
        return open_back ? SHAPE_CONTAINS : SHAPE_SUFFIX;
    return open_back ? SHAPE_PREFIX : SHAPE_LITERAL;
}

static struct sm_traceql_regex *new_literal(enum shape shape, struct sm_str literal)
{
    struct sm_traceql_regex *regex = sm_xcalloc(1, sizeof *regex + literal.len);
    regex->shape = shape;
    regex->literal_size = literal.len;
    if (literal.len)
        memcpy(regex->literal, literal.ptr, literal.len);
    return regex;
}

static enum sm_rc compile(struct sm_str pattern, pcre2_code **code, struct sm_err *err)
{
    int number;
    PCRE2_SIZE at;
    *code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                          PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_UTF |
                              PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
                          &number, &at, NULL);
    if (*code) {
        (void)pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter runs it */
        return SM_OK;
    }
    PCRE2_UCHAR why[120];
    pcre2_get_error_message(number, why, sizeof why);
    return sm_err_set(err, SM_E_INVALID, "bad regular expression at its byte %zu: %s", (size_t)at + 1, (char *)why);
}

enum sm_rc sm_traceql_regex_new(struct sm_str pattern, struct sm_traceql_regex **out, struct sm_err *err)
{
    *out = NULL;
    if (pattern.len > SM_TRACEQL_REGEX_SIZE_MAX)
        return sm_err_set(err, SM_E_LIMIT, "the regular expression is longer than %d bytes", SM_TRACEQL_REGEX_SIZE_MAX);
    struct sm_str literal = {NULL, 0};
    enum shape shape = shape_of(pattern, &literal);
    pcre2_code *code = NULL;
    if (shape == SHAPE_PATTERN) {
        enum sm_rc rc = compile(pattern, &code, err);
        if (rc)
            return rc;
    }
    *out = new_literal(shape, literal);
    (*out)->code = code;
    return SM_OK;
}

void sm_traceql_regex_free(struct sm_traceql_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

struct sm_traceql_regex_scratch *sm_traceql_regex_scratch_new(void)
{
    struct sm_traceql_regex_scratch *scratch = sm_xcalloc(1, sizeof *scratch);
    scratch->match = pcre2_match_data_create(1, NULL);
    scratch->context = pcre2_match_context_create(NULL);
    SM_ASSERT(scratch->match && scratch->context); /* start-up allocation: no memory, no process */
    pcre2_set_match_limit(scratch->context, SM_TRACEQL_REGEX_STEPS_MAX);
    pcre2_set_heap_limit(scratch->context, SM_TRACEQL_REGEX_HEAP_KIB_MAX);
    return scratch;
}

void sm_traceql_regex_scratch_free(struct sm_traceql_regex_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->context);
    free(scratch);
}

static bool pattern_holds(const struct sm_traceql_regex *regex, struct sm_traceql_regex_scratch *scratch,
                          struct sm_str value, bool wanted)
{
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)(value.len ? value.ptr : ""), value.len, 0, 0, scratch->match,
                         scratch->context);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
        return (rc >= 0) == wanted;
    scratch->given_up++;
    return false;
}

static bool literal_matches(const struct sm_traceql_regex *regex, struct sm_str value)
{
    size_t n = regex->literal_size;
    if (n == 0)
        return regex->shape != SHAPE_LITERAL || value.len == 0;
    if (value.len < n)
        return false;
    switch (regex->shape) {
    case SHAPE_LITERAL:
        return value.len == n && memcmp(value.ptr, regex->literal, n) == 0;
    case SHAPE_PREFIX:
        return memcmp(value.ptr, regex->literal, n) == 0;
    case SHAPE_SUFFIX:
        return memcmp(value.ptr + value.len - n, regex->literal, n) == 0;
    default:
        return memmem(value.ptr, value.len, regex->literal, n) != NULL;
    }
}

bool sm_traceql_regex_holds(const struct sm_traceql_regex *regex, struct sm_traceql_regex_scratch *scratch,
                            struct sm_str value, bool wanted)
{
    if (regex->shape == SHAPE_PATTERN)
        return pattern_holds(regex, scratch, value, wanted);
    return literal_matches(regex, value) == wanted;
}

uint64_t sm_traceql_regex_given_up(const struct sm_traceql_regex_scratch *scratch)
{
    return scratch->given_up;
}

bool sm_traceql_regex_is_costly(const struct sm_traceql_regex *regex)
{
    return regex->shape == SHAPE_PATTERN;
}
