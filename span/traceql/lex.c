/* The lexer: one function per kind of token, each over the cursor `lexer->at`. */
#include "span/traceql/lex.h"

#include "base/nearest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LEX_FAIL(lexer, offset, ...)                                                                                   \
    sm_traceql_error_set((lexer)->err, SM_E_INVALID, (lexer)->query, (uint32_t)(offset), __VA_ARGS__)

#define NAME_PRINT_MAX 40 /* of a user's word in an error message */

static int peek(const struct sm_traceql_lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->query.len ? (unsigned char)lexer->query.ptr[at] : -1;
}

static struct sm_str slice(const struct sm_traceql_lexer *lexer, uint32_t from)
{
    return sm_str(lexer->query.ptr + from, lexer->at - from);
}

static int printable_length(struct sm_str s)
{
    return (int)SM_MIN(s.len, (size_t)NAME_PRINT_MAX);
}

static bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_start(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(int c)
{
    return is_word_start(c) || is_digit(c);
}

static bool is_key(int c)
{
    return c > 0 && !is_space(c) && !strchr("{}()=~!<>&|^,", c);
}

static void put(struct sm_traceql_lexer *lexer, int c)
{
    lexer->text[lexer->text_size++] = (char)c;
}

static void put_utf8(struct sm_traceql_lexer *lexer, uint32_t c)
{
    if (c < 0x80) {
        put(lexer, (int)c);
    } else if (c < 0x800) {
        put(lexer, (int)(0xc0 | c >> 6));
        put(lexer, (int)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        put(lexer, (int)(0xe0 | c >> 12));
        put(lexer, (int)(0x80 | (c >> 6 & 0x3f)));
        put(lexer, (int)(0x80 | (c & 0x3f)));
    } else {
        put(lexer, (int)(0xf0 | c >> 18));
        put(lexer, (int)(0x80 | (c >> 12 & 0x3f)));
        put(lexer, (int)(0x80 | (c >> 6 & 0x3f)));
        put(lexer, (int)(0x80 | (c & 0x3f)));
    }
}

static int digit_value(int c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Reads exactly n digits of the base; UINT32_MAX when they are not there. */
static uint32_t escape_number(struct sm_traceql_lexer *lexer, unsigned n, unsigned base)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned digit = (unsigned)digit_value(peek(lexer, 0));
        if (digit >= base)
            return UINT32_MAX;
        value = value * base + digit;
        lexer->at++;
    }
    return value;
}

static enum sm_rc escape_bytes(struct sm_traceql_lexer *lexer, uint32_t start, unsigned n, unsigned base)
{
    uint32_t value = escape_number(lexer, n, base);
    if (value > 0xff)
        return LEX_FAIL(lexer, start, "this escape needs %u %s digits, at most ff", n, base == 8 ? "octal" : "hex");
    put(lexer, (int)value);
    return SM_OK;
}

static enum sm_rc escape_unicode(struct sm_traceql_lexer *lexer, uint32_t start, unsigned n)
{
    uint32_t value = escape_number(lexer, n, 16);
    if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return LEX_FAIL(lexer, start, "this escape needs %u hex digits that name a character", n);
    put_utf8(lexer, value);
    return SM_OK;
}

/* At the character behind the backslash. The escapes of a Go string, which TraceQL's strings are. */
static enum sm_rc string_escape(struct sm_traceql_lexer *lexer)
{
    static const char letters[] = "abfnrtv\\\"", bytes[] = "\a\b\f\n\r\t\v\\\"";
    uint32_t start = lexer->at - 1;
    int c = peek(lexer, 0);
    const char *simple = c > 0 ? strchr(letters, c) : NULL;
    if (simple) {
        put(lexer, bytes[simple - letters]);
        lexer->at++;
        return SM_OK;
    }
    if (c >= '0' && c <= '7')
        return escape_bytes(lexer, start, 3, 8);
    lexer->at++;
    switch (c) {
    case 'x':
        return escape_bytes(lexer, start, 2, 16);
    case 'u':
        return escape_unicode(lexer, start, 4);
    case 'U':
        return escape_unicode(lexer, start, 8);
    default:
        return LEX_FAIL(lexer, start, "unknown escape in a string; known are \\\\ \\\" \\n \\t \\r \\a \\b \\f \\v \\NNN \\xNN "
                                      "\\uNNNN \\UNNNNNNNN; for a regex use `backticks`");
    }
}

static struct sm_str text_since(const struct sm_traceql_lexer *lexer, size_t start)
{
    return sm_str(lexer->text + start, lexer->text_size - start);
}

static enum sm_rc lex_string(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    size_t start = lexer->text_size;
    for (lexer->at++; peek(lexer, 0) != '"';) {
        int c = peek(lexer, 0);
        if (c < 0 || c == '\n')
            return LEX_FAIL(lexer, token->offset, "this string has no closing \"");
        lexer->at++;
        if (c != '\\') {
            put(lexer, c);
            continue;
        }
        enum sm_rc rc = string_escape(lexer);
        if (rc)
            return rc;
    }
    lexer->at++;
    token->kind = SM_TRACEQL_TOK_VALUE;
    token->value = (struct sm_traceql_value){.type = SM_TRACEQL_STRING, .string = text_since(lexer, start)};
    return SM_OK;
}

/* `...`: bytes as they are, carriage returns left out. */
static enum sm_rc lex_raw_string(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    size_t start = lexer->text_size;
    for (lexer->at++; peek(lexer, 0) != '`'; lexer->at++) {
        if (peek(lexer, 0) < 0)
            return LEX_FAIL(lexer, token->offset, "this string has no closing `");
        if (peek(lexer, 0) != '\r')
            put(lexer, peek(lexer, 0));
    }
    lexer->at++;
    token->kind = SM_TRACEQL_TOK_VALUE;
    token->value = (struct sm_traceql_value){.type = SM_TRACEQL_STRING, .string = text_since(lexer, start)};
    return SM_OK;
}

/* A unit at the cursor in ns, *length its bytes; 0 when there is none. */
static int64_t duration_unit(const struct sm_traceql_lexer *lexer, uint32_t *length)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        /* longer ones first, where one begins another */
        {"ns", 1},
        {"us", SM_US},
        {"\xc2\xb5s", SM_US}, /* micro sign */
        {"\xce\xbcs", SM_US}, /* Greek mu */
        {"ms", SM_MS},
        {"s", SM_SEC},
        {"m", 60 * SM_SEC},
        {"h", 3600 * SM_SEC},
        {"d", 24 * 3600 * SM_SEC},
        {"w", 7 * 24 * 3600 * SM_SEC},
        {"y", 365 * 24 * 3600 * SM_SEC},
    };
    struct sm_str rest = sm_str(lexer->query.ptr + lexer->at, lexer->query.len - lexer->at);
    for (size_t i = 0; i < SM_ARRAY_LEN(units); i++) {
        size_t n = strlen(units[i].name);
        if (rest.len < n || memcmp(rest.ptr, units[i].name, n) != 0)
            continue;
        *length = (uint32_t)n;
        return units[i].ns;
    }
    return 0;
}

struct number {
    uint64_t whole;
    uint64_t fraction, fraction_scale; /* 0.25 is 25 of 100; digits past the ninth are dropped */
    bool is_real, overflow;
};

/* Digits with at most one point. */
static struct number read_number(struct sm_traceql_lexer *lexer)
{
    struct number n = {.fraction_scale = 1};
    for (; is_digit(peek(lexer, 0)); lexer->at++) {
        n.overflow |= __builtin_mul_overflow(n.whole, UINT64_C(10), &n.whole);
        n.overflow |= __builtin_add_overflow(n.whole, (uint64_t)(peek(lexer, 0) - '0'), &n.whole);
    }
    if (peek(lexer, 0) != '.')
        return n;
    n.is_real = true;
    for (lexer->at++; is_digit(peek(lexer, 0)); lexer->at++) {
        if (n.fraction_scale >= 1000000000)
            continue;
        n.fraction_scale *= 10;
        n.fraction = n.fraction * 10 + (uint64_t)(peek(lexer, 0) - '0');
    }
    return n;
}

/* false when the sum leaves int64. */
static bool duration_add(int64_t *total, const struct number *n, int64_t unit_ns)
{
    int64_t whole;
    if (n->overflow || n->whole > INT64_MAX || __builtin_mul_overflow((int64_t)n->whole, unit_ns, &whole))
        return false;
    int64_t part = (int64_t)((unsigned __int128)n->fraction * (uint64_t)unit_ns / n->fraction_scale);
    return !__builtin_add_overflow(whole, part, &whole) && !__builtin_add_overflow(*total, whole, total);
}

/* At the unit behind the first number: `1m30s`, `1.5h`. */
static enum sm_rc lex_duration(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token, struct number n)
{
    int64_t total = 0;
    uint32_t unit_length = 0;
    for (;;) {
        int64_t unit_ns = duration_unit(lexer, &unit_length);
        if (!unit_ns)
            return LEX_FAIL(lexer, token->offset, "a duration needs a unit after each number: ns us ms s m h d w y");
        lexer->at += unit_length;
        if (!duration_add(&total, &n, unit_ns))
            return LEX_FAIL(lexer, token->offset, "this duration is too long: it must stay below 292 years");
        if (!is_digit(peek(lexer, 0)))
            break;
        n = read_number(lexer);
    }
    if (is_word(peek(lexer, 0)))
        return LEX_FAIL(lexer, token->offset, "unknown unit of time; known are ns us ms s m h d w y");
    token->kind = SM_TRACEQL_TOK_VALUE;
    token->value = (struct sm_traceql_value){.type = SM_TRACEQL_DURATION, .integer = total};
    return SM_OK;
}

static enum sm_rc lex_real(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    char copy[64];
    struct sm_str digits = slice(lexer, token->offset);
    if (digits.len >= sizeof copy)
        return LEX_FAIL(lexer, token->offset, "this number has too many digits: at most %zu", sizeof copy - 1);
    memcpy(copy, digits.ptr, digits.len);
    copy[digits.len] = '\0';
    errno = 0;
    double real = strtod(copy, NULL);
    if (errno == ERANGE && real != 0 && real * 0 != 0)
        return LEX_FAIL(lexer, token->offset, "this number is too large");
    token->value = (struct sm_traceql_value){.type = SM_TRACEQL_FLOAT, .real = real};
    return SM_OK;
}

/* Steps over `e10`, `E-3`; false when no exponent is here. */
static bool skip_exponent(struct sm_traceql_lexer *lexer)
{
    if (peek(lexer, 0) != 'e' && peek(lexer, 0) != 'E')
        return false;
    uint32_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
    if (!is_digit(peek(lexer, 1 + sign)))
        return false;
    for (lexer->at += 1 + sign; is_digit(peek(lexer, 0)); lexer->at++)
        ;
    return true;
}

static enum sm_rc lex_number(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    uint32_t unit_length;
    struct number n = read_number(lexer);
    if (duration_unit(lexer, &unit_length))
        return lex_duration(lexer, token, n);
    n.is_real |= skip_exponent(lexer);
    if (is_word(peek(lexer, 0)))
        return LEX_FAIL(lexer, token->offset,
                        "letters behind a number must be a unit of time: ns us ms s m h d w y (100ms, 1.5s, 1m30s)");
    token->kind = SM_TRACEQL_TOK_VALUE;
    if (n.is_real)
        return lex_real(lexer, token);
    if (n.overflow || n.whole > INT64_MAX)
        return LEX_FAIL(lexer, token->offset, "this number is too large: at most %" PRId64, INT64_MAX);
    token->value = (struct sm_traceql_value){.type = SM_TRACEQL_INT, .integer = (int64_t)n.whole};
    return SM_OK;
}

static enum sm_rc quoted_key_part(struct sm_traceql_lexer *lexer)
{
    uint32_t start = lexer->at++;
    for (; peek(lexer, 0) != '"'; lexer->at++) {
        if (peek(lexer, 0) < 0)
            return LEX_FAIL(lexer, start, "this quoted attribute name has no closing \"");
        if (peek(lexer, 0) == '\\' && peek(lexer, 1) != '\\' && peek(lexer, 1) != '"')
            return LEX_FAIL(lexer, lexer->at, "only \\\" and \\\\ are escapes in an attribute name");
        lexer->at += peek(lexer, 0) == '\\';
        put(lexer, peek(lexer, 0));
    }
    lexer->at++;
    return SM_OK;
}

/* At the first character of the key. */
static enum sm_rc lex_attribute(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token,
                                enum sm_traceql_scope scope)
{
    size_t start = lexer->text_size;
    while (is_key(peek(lexer, 0))) {
        if (peek(lexer, 0) == '"') {
            enum sm_rc rc = quoted_key_part(lexer);
            if (rc)
                return rc;
        } else {
            put(lexer, peek(lexer, 0));
            lexer->at++;
        }
    }
    if (lexer->text_size == start)
        return LEX_FAIL(lexer, lexer->at, "the name of an attribute is expected behind the point");
    token->kind = SM_TRACEQL_TOK_FIELD;
    token->field = (struct sm_traceql_field){.scope = scope, .key = text_since(lexer, start)};
    return SM_OK;
}

struct intrinsic_name {
    const char *name;
    enum sm_traceql_intrinsic intrinsic;
};

static const struct intrinsic_name intrinsic_names[] = {
    {"status", SM_TRACEQL_STATUS_FIELD},
    {"statusMessage", SM_TRACEQL_STATUS_MESSAGE},
    {"kind", SM_TRACEQL_KIND_FIELD},
    {"name", SM_TRACEQL_NAME},
    {"duration", SM_TRACEQL_DURATION_FIELD},
    {"traceDuration", SM_TRACEQL_TRACE_DURATION},
    {"rootName", SM_TRACEQL_ROOT_NAME},
    {"rootServiceName", SM_TRACEQL_ROOT_SERVICE},
    {"span:status", SM_TRACEQL_STATUS_FIELD},
    {"span:statusMessage", SM_TRACEQL_STATUS_MESSAGE},
    {"span:kind", SM_TRACEQL_KIND_FIELD},
    {"span:name", SM_TRACEQL_NAME},
    {"span:duration", SM_TRACEQL_DURATION_FIELD},
    {"trace:duration", SM_TRACEQL_TRACE_DURATION},
    {"trace:rootName", SM_TRACEQL_ROOT_NAME},
    {"trace:rootService", SM_TRACEQL_ROOT_SERVICE},
};

static const struct {
    const char *name;
    enum sm_traceql_type type;
    int integer;
} constant_names[] = {
    {"true", SM_TRACEQL_BOOL, 1},     {"false", SM_TRACEQL_BOOL, 0},       {"nil", SM_TRACEQL_NIL, 0},
    {"unset", SM_TRACEQL_STATUS, 0},  {"ok", SM_TRACEQL_STATUS, 1},        {"error", SM_TRACEQL_STATUS, 2},
    {"unspecified", SM_TRACEQL_KIND, 0}, {"internal", SM_TRACEQL_KIND, 1}, {"server", SM_TRACEQL_KIND, 2},
    {"client", SM_TRACEQL_KIND, 3},   {"producer", SM_TRACEQL_KIND, 4},    {"consumer", SM_TRACEQL_KIND, 5},
};

/* Names of TraceQL that are not handled, so that the message can say so. */
static const char *const unsupported_names[] = {
    "childCount",     "nestedSetLeft",   "nestedSetRight", "nestedSetParent", "parent",     "minInt",
    "maxInt",         "span:id",         "span:parentID",  "span:childCount", "trace:id",   "event:name",
    "link:spanID",    "link:traceID",    "event:timeSinceStart", "instrumentation:name", "instrumentation:version",
};

static const char *const unsupported_scopes[] = {"parent", "event", "link", "instrumentation"};

static bool name_in(struct sm_str word, const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        if (sm_str_eq(word, sm_str_c(names[i])))
            return true;
    return false;
}

static enum sm_rc fail_unsupported(struct sm_traceql_lexer *lexer, uint32_t offset, struct sm_str word)
{
    return sm_traceql_error_set(lexer->err, SM_E_UNSUPPORTED, lexer->query, offset,
                                "%.*s is part of TraceQL, but not supported here", printable_length(word), word.ptr);
}

static enum sm_rc fail_unknown_name(struct sm_traceql_lexer *lexer, const struct sm_traceql_token *token,
                                    struct sm_str word)
{
    const char *names[SM_ARRAY_LEN(intrinsic_names) + SM_ARRAY_LEN(constant_names)];
    size_t n = 0;
    for (size_t i = 0; i < SM_ARRAY_LEN(intrinsic_names); i++)
        names[n++] = intrinsic_names[i].name;
    for (size_t i = 0; i < SM_ARRAY_LEN(constant_names); i++)
        names[n++] = constant_names[i].name;
    const char *near = sm_nearest(word, names, n);
    if (near)
        return LEX_FAIL(lexer, token->offset, "unknown name %.*s; did you mean %s?", printable_length(word), word.ptr,
                        near);
    return LEX_FAIL(lexer, token->offset,
                    "unknown name %.*s; attributes are written span.KEY, resource.KEY or .KEY, strings in quotes",
                    printable_length(word), word.ptr);
}

/* A whole word that is neither a scope nor part of an attribute. */
static enum sm_rc lex_name(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    struct sm_str word = slice(lexer, token->offset);
    for (size_t i = 0; i < SM_ARRAY_LEN(intrinsic_names); i++)
        if (sm_str_eq(word, sm_str_c(intrinsic_names[i].name))) {
            token->kind = SM_TRACEQL_TOK_FIELD;
            token->field = (struct sm_traceql_field){.scope = SM_TRACEQL_INTRINSIC,
                                                     .intrinsic = intrinsic_names[i].intrinsic};
            return SM_OK;
        }
    for (size_t i = 0; i < SM_ARRAY_LEN(constant_names); i++)
        if (sm_str_eq(word, sm_str_c(constant_names[i].name))) {
            token->kind = SM_TRACEQL_TOK_VALUE;
            token->value.type = constant_names[i].type;
            if (constant_names[i].type == SM_TRACEQL_BOOL)
                token->value.boolean = constant_names[i].integer;
            else
                token->value.integer = constant_names[i].integer;
            return SM_OK;
        }
    if (name_in(word, unsupported_names, SM_ARRAY_LEN(unsupported_names)))
        return fail_unsupported(lexer, token->offset, word);
    return fail_unknown_name(lexer, token, word);
}

/* `word.` at the cursor behind the point. */
static enum sm_rc lex_scoped_attribute(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token,
                                       struct sm_str scope)
{
    static const char *const scopes[] = {"span", "resource"};
    if (sm_str_eq(scope, SM_STR("span")))
        return lex_attribute(lexer, token, SM_TRACEQL_SPAN_ATTR);
    if (sm_str_eq(scope, SM_STR("resource")))
        return lex_attribute(lexer, token, SM_TRACEQL_RESOURCE_ATTR);
    if (name_in(scope, unsupported_scopes, SM_ARRAY_LEN(unsupported_scopes)))
        return fail_unsupported(lexer, token->offset, slice(lexer, token->offset));
    const char *near = sm_nearest(scope, scopes, SM_ARRAY_LEN(scopes));
    if (near)
        return LEX_FAIL(lexer, token->offset, "unknown scope %.*s; did you mean %s?", printable_length(scope), scope.ptr,
                        near);
    return LEX_FAIL(lexer, token->offset, "unknown scope %.*s; an attribute is written span.KEY, resource.KEY or .KEY",
                    printable_length(scope), scope.ptr);
}

static enum sm_rc lex_word(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    while (is_word(peek(lexer, 0)))
        lexer->at++;
    struct sm_str word = slice(lexer, token->offset);
    if (peek(lexer, 0) == '.') {
        lexer->at++;
        return lex_scoped_attribute(lexer, token, word);
    }
    if (peek(lexer, 0) == ':')
        for (lexer->at++; is_word(peek(lexer, 0)); lexer->at++)
            ;
    return lex_name(lexer, token);
}

static const struct {
    char text[4];
    enum sm_traceql_token_kind kind;
    enum sm_traceql_op op;
} operators[] = {
    /* longer ones first, where one begins another */
    {"&>>", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"&<<", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"&&", SM_TRACEQL_TOK_AND, 0},
    {"||", SM_TRACEQL_TOK_OR, 0},
    {"!=", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_NE},
    {"!~", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_NOT_MATCH},
    {"=~", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_MATCH},
    {"<=", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_LE},
    {">=", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_GE},
    {"<<", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {">>", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"&>", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"&<", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"&~", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"=", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_EQ},
    {"<", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_LT},
    {">", SM_TRACEQL_TOK_COMPARE, SM_TRACEQL_GT},
    {"!", SM_TRACEQL_TOK_NOT, 0},
    {"-", SM_TRACEQL_TOK_MINUS, 0},
    {"{", SM_TRACEQL_TOK_OPEN_BRACE, 0},
    {"}", SM_TRACEQL_TOK_CLOSE_BRACE, 0},
    {"(", SM_TRACEQL_TOK_OPEN_PAREN, 0},
    {")", SM_TRACEQL_TOK_CLOSE_PAREN, 0},
    {"|", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"~", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"+", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"*", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"/", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"%", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {"^", SM_TRACEQL_TOK_UNSUPPORTED, 0},
    {",", SM_TRACEQL_TOK_UNSUPPORTED, 0},
};

static enum sm_rc lex_operator(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    struct sm_str rest = sm_str(lexer->query.ptr + lexer->at, lexer->query.len - lexer->at);
    for (size_t i = 0; i < SM_ARRAY_LEN(operators); i++) {
        size_t n = strlen(operators[i].text);
        if (rest.len < n || memcmp(rest.ptr, operators[i].text, n) != 0)
            continue;
        lexer->at += (uint32_t)n;
        token->kind = operators[i].kind;
        token->op = operators[i].op;
        return SM_OK;
    }
    unsigned char c = (unsigned char)rest.ptr[0];
    if (c == '\'')
        return LEX_FAIL(lexer, lexer->at, "strings are written in \"double quotes\" or `backticks`");
    if (c == '&')
        return LEX_FAIL(lexer, lexer->at, "a single & means nothing; did you mean &&?");
    if (c > ' ' && c < 0x7f)
        return LEX_FAIL(lexer, lexer->at, "unexpected character %c", c);
    return LEX_FAIL(lexer, lexer->at, "unexpected byte 0x%02x", c);
}

static enum sm_rc lex_any(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    int c = peek(lexer, 0);
    if (c < 0) {
        token->kind = SM_TRACEQL_TOK_END;
        return SM_OK;
    }
    if (c == '"')
        return lex_string(lexer, token);
    if (c == '`')
        return lex_raw_string(lexer, token);
    if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1))))
        return lex_number(lexer, token);
    if (is_word_start(c))
        return lex_word(lexer, token);
    if (c == '.') {
        lexer->at++;
        return lex_attribute(lexer, token, SM_TRACEQL_ANY_ATTR);
    }
    return lex_operator(lexer, token);
}

enum sm_rc sm_traceql_lex(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token)
{
    while (is_space(peek(lexer, 0)))
        lexer->at++;
    memset(token, 0, sizeof *token);
    token->offset = lexer->at;
    enum sm_rc rc = lex_any(lexer, token);
    token->length = lexer->at - token->offset;
    return rc;
}
