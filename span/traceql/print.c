/* A bounded writer that keeps counting past its end, and a recursive walk (depth: SM_TRACEQL_DEPTH_MAX per operand). */
#include "span/traceql/print.h"

#include <inttypes.h>

struct out {
    char *text;
    size_t size, length;
};

static void put_char(struct out *o, char c)
{
    if (o->length + 1 < o->size)
        o->text[o->length] = c;
    o->length++;
}

static void put_text(struct out *o, const char *s)
{
    for (; *s; s++)
        put_char(o, *s);
}

static size_t finish(const struct out *o)
{
    if (o->size)
        o->text[SM_MIN(o->length, o->size - 1)] = '\0';
    return o->length;
}

static void put_integer(struct out *o, int64_t v, const char *unit)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRId64 "%s", v, unit);
    put_text(o, digits);
}

/* Shortest digits that read back as the same number, always with a point or an exponent. */
static void put_real(struct out *o, double v)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, v);
        double back;
        if (sscanf(digits, "%lf", &back) == 1 && back == v)
            break;
    }
    put_text(o, digits);
    if (!strpbrk(digits, ".e"))
        put_text(o, ".0");
}

static void put_string(struct out *o, struct sm_str s)
{
    put_char(o, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\') {
            put_char(o, '\\');
            put_char(o, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\x%02x", c);
            put_text(o, escape);
        } else {
            put_char(o, (char)c);
        }
    }
    put_char(o, '"');
}

static bool key_needs_quotes(struct sm_str key)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.ptr[i] <= ' ' || strchr("{}()=~!<>&|^,\"", key.ptr[i]))
            return true;
    return key.ptr[0] >= '0' && key.ptr[0] <= '9'; /* `.5` reads as a number */
}

static void put_key(struct out *o, struct sm_str key)
{
    bool quotes = key_needs_quotes(key);
    if (quotes)
        put_char(o, '"');
    for (size_t i = 0; i < key.len; i++) {
        if (quotes && (key.ptr[i] == '"' || key.ptr[i] == '\\'))
            put_char(o, '\\');
        put_char(o, key.ptr[i]);
    }
    if (quotes)
        put_char(o, '"');
}

static void put_field(struct out *o, const struct sm_traceql_field *field)
{
    static const char *const intrinsics[] = {"status",   "statusMessage", "kind",     "name",
                                             "duration", "traceDuration", "rootName", "rootServiceName"};
    static const char *const scopes[] = {"", "span.", "resource.", "."};
    if (field->scope == SM_TRACEQL_INTRINSIC) {
        put_text(o, intrinsics[field->intrinsic]);
        return;
    }
    put_text(o, scopes[field->scope]);
    put_key(o, field->key);
}

static void put_value(struct out *o, const struct sm_traceql_value *value)
{
    static const char *const statuses[] = {"unset", "ok", "error"};
    static const char *const kinds[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
    switch (value->type) {
    case SM_TRACEQL_NIL:
        put_text(o, "nil");
        break;
    case SM_TRACEQL_BOOL:
        put_text(o, value->boolean ? "true" : "false");
        break;
    case SM_TRACEQL_INT:
        put_integer(o, value->integer, "");
        break;
    case SM_TRACEQL_FLOAT:
        put_real(o, value->real);
        break;
    case SM_TRACEQL_DURATION:
        put_integer(o, value->integer, "ns");
        break;
    case SM_TRACEQL_STRING:
        put_string(o, value->string);
        break;
    case SM_TRACEQL_STATUS:
        put_text(o, statuses[value->integer]);
        break;
    case SM_TRACEQL_KIND:
        put_text(o, kinds[value->integer]);
        break;
    }
}

static void put_node(struct out *o, const struct sm_traceql_ast *ast, uint32_t index);

static void put_binary(struct out *o, const struct sm_traceql_ast *ast, const struct sm_traceql_node *node,
                       const char *op)
{
    put_char(o, '(');
    put_node(o, ast, node->left);
    put_char(o, ' ');
    put_text(o, op);
    put_char(o, ' ');
    put_node(o, ast, node->right);
    put_char(o, ')');
}

static void put_node(struct out *o, const struct sm_traceql_ast *ast, uint32_t index)
{
    const struct sm_traceql_node *node = &ast->nodes[index];
    switch (node->kind) {
    case SM_TRACEQL_SPANSET:
        put_text(o, "{ ");
        if (node->left == SM_TRACEQL_NONE)
            put_text(o, "true");
        else
            put_node(o, ast, node->left);
        put_text(o, " }");
        break;
    case SM_TRACEQL_AND:
        put_binary(o, ast, node, "&&");
        break;
    case SM_TRACEQL_OR:
        put_binary(o, ast, node, "||");
        break;
    case SM_TRACEQL_NOT:
        put_char(o, '!');
        put_node(o, ast, node->left);
        break;
    case SM_TRACEQL_COMPARE:
        put_binary(o, ast, node, sm_traceql_print_op(node->op));
        break;
    case SM_TRACEQL_VALUE:
        put_value(o, &node->value);
        break;
    case SM_TRACEQL_FIELD:
        put_field(o, &node->field);
        break;
    }
}

size_t sm_traceql_print(const struct sm_traceql_ast *ast, char *out, size_t size)
{
    struct out o = {.text = out, .size = size};
    put_node(&o, ast, ast->root);
    return finish(&o);
}

size_t sm_traceql_print_field(const struct sm_traceql_field *field, char *out, size_t size)
{
    struct out o = {.text = out, .size = size};
    put_field(&o, field);
    return finish(&o);
}

size_t sm_traceql_print_value(const struct sm_traceql_value *value, char *out, size_t size)
{
    struct out o = {.text = out, .size = size};
    put_value(&o, value);
    return finish(&o);
}

const char *sm_traceql_print_op(enum sm_traceql_op op)
{
    static const char *const names[] = {"=", "!=", "<", "<=", ">", ">=", "=~", "!~"};
    return names[op];
}

const char *sm_traceql_print_type(enum sm_traceql_type type)
{
    static const char *const names[] = {"nil",        "true or false", "an integer", "a floating-point number",
                                        "a duration", "a string",      "a status",   "a kind"};
    return names[type];
}
