/* Walks a YAML document along the table of keys. */
#include "app/config_yaml.h"
#include "app/config_env.h"
#include "app/config_value.h"
#include "base/utf8.h"

#include <libfyaml.h>
#include <stdlib.h>

/* Lists are read and freed through struct sm_config_list; their items begin with their position. */
_Static_assert(sizeof(struct sm_config_list) == sizeof(struct sm_config_rules), "same shape");
_Static_assert(sizeof(struct sm_config_list) == sizeof(struct sm_config_sinks), "same shape");
_Static_assert(sizeof(struct sm_config_list) == sizeof(struct sm_config_listeners), "same shape");
_Static_assert(sizeof(struct sm_config_list) == sizeof(struct sm_config_kafkas), "same shape");
_Static_assert(sizeof(struct sm_config_list) == sizeof(struct sm_config_files), "same shape");
_Static_assert(offsetof(struct sm_config_rule, pos) == 0 && offsetof(struct sm_config_sink, pos) == 0 &&
                   offsetof(struct sm_config_listener, pos) == 0 && offsetof(struct sm_config_kafka, pos) == 0,
               "pos first");

enum { LIST_TEXTS_MAX = 200 }; /* items of STRINGS and HEADERS */

struct walk {
    const struct sm_config_reader *reader;
    struct sm_str source;
};

static SM_PRINTF(4, 5) void problem(const struct sm_config_reader *r, const struct sm_config_pos *pos,
                                    const struct sm_config_where *w, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sm_config_report_add(r->report, pos, "%s%s%s", w->shown, w->shown[0] ? ": " : "", text);
}

/* ---- positions ---- */

static struct fy_node *resolved(struct fy_node *node)
{
    return node && fy_node_is_alias(node) ? fy_node_resolve_alias(node) : node;
}

static struct fy_node *first_child(struct fy_node *node)
{
    void *it = NULL;
    if (fy_node_is_sequence(node))
        return fy_node_sequence_iterate(node, &it);
    struct fy_node_pair *pair = fy_node_is_mapping(node) ? fy_node_mapping_iterate(node, &it) : NULL;
    return pair ? fy_node_pair_key(pair) : NULL;
}

/* The position of a scalar, or of the first scalar in a map or list; `otherwise` when it has none. */
static struct sm_config_pos position(const struct walk *w, struct fy_node *node, const struct sm_config_pos *otherwise)
{
    while (node && !fy_node_is_scalar(node))
        node = first_child(node);
    struct fy_token *token = node ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark)
        return *otherwise;
    return (struct sm_config_pos){w->reader->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Walks value and source side by side: YAML folds and indents with white space, doubles single quotes and escapes with
 * a backslash. Fills places[0..value.len]; false when the two do not fit (other escapes), then positions are not known.
 */
static bool align(struct sm_str value, struct sm_str source, struct sm_config_pos pos, struct sm_config_pos *places)
{
    size_t s = 0;
    for (size_t v = 0; v <= value.len;) {
        places[v] = pos;
        if (v == value.len)
            return true;
        bool same = s < source.len && value.ptr[v] == source.ptr[s];
        if (!same && is_space(value.ptr[v]) && (s == source.len || !is_space(source.ptr[s]))) {
            v++;
            continue;
        }
        if (s == source.len || (!same && !is_space(source.ptr[s]) && !strchr("'\\", source.ptr[s])))
            return false;
        v += same;
        if (source.ptr[s] == '\n') {
            pos.line++;
            pos.column = 1;
        } else if (((unsigned char)source.ptr[s] & 0xc0) != 0x80) {
            pos.column++;
        }
        s++;
    }
    return false;
}

static void place_query(const struct walk *w, struct fy_node *node, struct sm_config_query *query)
{
    struct fy_token *token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    struct sm_str value = sm_str_c(query->text);
    if (!mark || mark->input_pos > w->source.len)
        return;
    struct sm_str source = sm_str(w->source.ptr + mark->input_pos, w->source.len - mark->input_pos);
    query->places = sm_xcalloc(value.len + 1, sizeof query->places[0]);
    if (!align(value, source, query->pos, query->places)) {
        free(query->places);
        query->places = NULL;
    }
}

/* ---- scalars ---- */

static bool is_null(struct fy_node *node)
{
    if (!node)
        return true;
    if (!fy_node_is_scalar(node) || fy_node_get_style(node) != FYNS_PLAIN)
        return false;
    size_t len = 0;
    const char *text = fy_node_get_scalar(node, &len);
    struct sm_str s = sm_str(text, text ? len : 0);
    return s.len == 0 || sm_str_eq(s, SM_STR("~")) || sm_str_eq(s, SM_STR("null"));
}

static struct sm_str scalar(struct fy_node *node)
{
    size_t len = 0;
    const char *text = fy_node_get_scalar(node, &len);
    return sm_str(text ? text : "", text ? len : 0);
}

void sm_config_scalar_read(const struct sm_config_reader *reader, struct sm_str text,
                           const struct sm_config_where *where, const struct sm_config_key *key,
                           const struct sm_config_pos *pos)
{
    struct sm_err err;
    struct sm_buf value = {0};
    void *member = (char *)where->base + key->offset;
    enum sm_rc rc = sm_config_env_expand(text, &value, &err);
    if (!rc)
        rc = sm_config_value_parse(key, sm_buf_str(&value), member, &err);
    if (rc)
        problem(reader, pos, where, "%s", err.text);
    else if (key->type == SM_CONFIG_QUERY)
        ((struct sm_config_query *)member)->pos = *pos;
    sm_buf_fini(&value);
}

static void read_scalar(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                        const struct sm_config_key *key, const struct sm_config_pos *pos)
{
    if (key->type == SM_CONFIG_QUERY && fy_node_is_mapping(node)) {
        problem(w->reader, pos, where, "YAML takes the braces for a map; put the query in quotes: '{ ... }'");
        return;
    }
    if (!fy_node_is_scalar(node) || is_null(node)) {
        problem(w->reader, pos, where, "needs a value (%s)", sm_config_type_name(key->type));
        return;
    }
    struct sm_str text = scalar(node);
    sm_config_scalar_read(w->reader, text, where, key, pos);
    struct sm_config_query *query = (void *)((char *)where->base + key->offset);
    if (key->type == SM_CONFIG_QUERY && query->text && sm_str_eq(sm_str_c(query->text), text))
        place_query(w, node, query);
}

/* ---- lists and maps of texts ---- */

/* The expanded and checked text; false after a report. */
static bool read_text(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                      const struct sm_config_key *key, const struct sm_config_pos *pos, struct sm_buf *out)
{
    struct sm_err err;
    if (!node || !fy_node_is_scalar(node) || is_null(node)) {
        problem(w->reader, pos, where, "needs texts as values");
        return false;
    }
    enum sm_rc rc = sm_config_env_expand(scalar(node), out, &err);
    if (!rc)
        rc = sm_config_value_check_text(key, sm_buf_str(out), &err);
    if (rc)
        problem(w->reader, pos, where, "%s", err.text);
    return rc == SM_OK;
}

static void add_string(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                       const struct sm_config_key *key, const struct sm_config_pos *outer)
{
    struct sm_config_strings *strings = (void *)((char *)where->base + key->offset);
    struct sm_config_pos pos = position(w, node, outer);
    struct sm_buf text = {0};
    if (read_text(w, resolved(node), where, key, &pos, &text)) {
        strings->items = sm_xrealloc(strings->items, (strings->n + 1) * sizeof strings->items[0]);
        strings->items[strings->n++] = sm_xstrndup((const char *)text.data, text.size);
    }
    sm_buf_fini(&text);
}

static void read_strings(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                         const struct sm_config_key *key, const struct sm_config_pos *pos)
{
    sm_config_value_fini(key, (char *)where->base + key->offset);
    if (fy_node_is_scalar(node)) {
        add_string(w, node, where, key, pos);
        return;
    }
    if (!fy_node_is_sequence(node) || fy_node_sequence_item_count(node) > LIST_TEXTS_MAX) {
        problem(w->reader, pos, where, "needs a list of at most %d texts", LIST_TEXTS_MAX);
        return;
    }
    void *it = NULL;
    struct fy_node *item;
    while ((item = fy_node_sequence_iterate(node, &it)))
        add_string(w, item, where, key, pos);
}

/* RFC 9110's token, so that a name cannot end a header line. */
static bool is_header_name(struct sm_str name)
{
    static const char special[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || !strchr(special, c)))
            return false;
    }
    return name.len > 0 && name.len <= 100;
}

static void add_header(const struct walk *w, struct fy_node_pair *pair, const struct sm_config_where *where,
                       const struct sm_config_key *key, const struct sm_config_pos *outer)
{
    struct sm_config_headers *headers = (void *)((char *)where->base + key->offset);
    struct fy_node *name_node = fy_node_pair_key(pair);
    struct sm_config_pos pos = position(w, name_node, outer);
    struct sm_str name = name_node && fy_node_is_scalar(name_node) ? scalar(name_node) : SM_STR("");
    struct sm_buf text = {0};
    if (!is_header_name(name)) {
        problem(w->reader, &pos, where, "not a header name");
    } else if (read_text(w, resolved(fy_node_pair_value(pair)), where, key, &pos, &text)) {
        headers->items = sm_xrealloc(headers->items, (headers->n + 1) * sizeof headers->items[0]);
        struct sm_config_header *header = &headers->items[headers->n++];
        *header = (struct sm_config_header){.name = sm_xstrndup(name.ptr, name.len)};
        sm_secret_set(&header->value, sm_buf_str(&text));
    }
    if (text.data)
        explicit_bzero(text.data, text.size);
    sm_buf_fini(&text);
}

static void read_headers(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                         const struct sm_config_key *key, const struct sm_config_pos *pos)
{
    sm_config_value_fini(key, (char *)where->base + key->offset);
    if (!fy_node_is_mapping(node) || fy_node_mapping_item_count(node) > LIST_TEXTS_MAX) {
        problem(w->reader, pos, where, "needs a map of at most %d headers", LIST_TEXTS_MAX);
        return;
    }
    void *it = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &it)))
        add_header(w, pair, where, key, pos);
}

/* ---- lists of structs ---- */

void *sm_config_list_item(const struct sm_config_key *key, const struct sm_config_list *list, size_t i)
{
    return (char *)list->items + i * key->size;
}

void sm_config_default_below(const char *prefix, void *base)
{
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        if (sm_config_key_below(key, sm_str_c(prefix)) && key->type != SM_CONFIG_LIST)
            sm_config_value_default(key, (char *)base + key->offset);
    }
}

static void free_items(const struct sm_config_key *key, struct sm_config_list *list)
{
    char prefix[SM_CONFIG_PATH_MAX];
    snprintf(prefix, sizeof prefix, "%s[].", key->path);
    for (size_t i = 0; i < list->n; i++)
        sm_config_fini_below(prefix, sm_config_list_item(key, list, i));
}

void sm_config_fini_below(const char *prefix, void *base)
{
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        if (!sm_config_key_below(key, sm_str_c(prefix)))
            continue;
        void *member = (char *)base + key->offset;
        if (key->type == SM_CONFIG_LIST)
            free_items(key, member);
        sm_config_value_fini(key, member);
    }
}

static void read_map(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                     const struct sm_config_pos *pos);

static bool has_key(struct fy_node *map, const char *name)
{
    void *it = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(map, &it))) {
        struct fy_node *key = fy_node_pair_key(pair);
        if (key && fy_node_is_scalar(key) && sm_str_eq(scalar(key), sm_str_c(name)))
            return true;
    }
    return false;
}

/* Required keys stand directly in the item. */
static void check_required(const struct walk *w, struct fy_node *map, const struct sm_config_where *where,
                           const struct sm_config_pos *pos)
{
    size_t len = strlen(where->path);
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        bool inside = strncmp(key->path, where->path, len) == 0 && key->path[len] == '.';
        if (inside && key->type != SM_CONFIG_SECTION && !key->fallback && !has_key(map, key->path + len + 1))
            problem(w->reader, pos, where, "the key \"%s\" is missing", key->path + len + 1);
    }
}

static void read_item(const struct walk *w, struct fy_node *node, const struct sm_config_where *list_where,
                      const struct sm_config_key *key, const struct sm_config_pos *outer)
{
    struct sm_config_list *list = (void *)((char *)list_where->base + key->offset);
    struct sm_config_pos pos = position(w, node, outer);
    struct sm_config_where where;
    snprintf(where.path, sizeof where.path, "%s[]", key->path);
    snprintf(where.shown, sizeof where.shown, "%.100s[%zu]", list_where->shown, list->n);
    list->items = sm_xrealloc(list->items, (list->n + 1) * key->size);
    where.base = sm_config_list_item(key, list, list->n++);
    memset(where.base, 0, key->size);
    memcpy(where.base, &pos, sizeof pos);
    char prefix[SM_CONFIG_PATH_MAX];
    snprintf(prefix, sizeof prefix, "%s[].", key->path);
    sm_config_default_below(prefix, where.base);
    node = resolved(node);
    read_map(w, node, &where, &pos);
    if (node && fy_node_is_mapping(node))
        check_required(w, node, &where, &pos);
}

static void read_list(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                      const struct sm_config_key *key, const struct sm_config_pos *pos)
{
    struct sm_config_list *list = (void *)((char *)where->base + key->offset);
    free_items(key, list);
    sm_config_value_fini(key, list);
    long items_max = strtol(key->most, NULL, 10);
    if (is_null(node))
        return;
    if (!fy_node_is_sequence(node) || fy_node_sequence_item_count(node) > items_max) {
        problem(w->reader, pos, where, "needs a list of at most %ld items", items_max);
        return;
    }
    void *it = NULL;
    struct fy_node *item;
    while ((item = fy_node_sequence_iterate(node, &it)))
        read_item(w, item, where, key, pos);
}

/* ---- maps ---- */

static void read_node(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                      const struct sm_config_pos *outer)
{
    struct sm_config_pos pos = position(w, node, outer);
    const struct sm_config_key *key = sm_config_key_find(sm_str_c(where->path));
    if (node && fy_node_is_alias(node) && !fy_node_resolve_alias(node)) {
        problem(w->reader, &pos, where, "alias of something unknown");
        return;
    }
    node = resolved(node);
    if (key && !strchr(key->path, '['))
        w->reader->places[key - sm_config_keys] = pos;
    if (!key)
        read_map(w, node, where, &pos);
    else if (key->type == SM_CONFIG_LIST)
        read_list(w, node, where, key, &pos);
    else if (!node)
        problem(w->reader, &pos, where, "needs a value (%s)", sm_config_type_name(key->type));
    else if (key->type == SM_CONFIG_STRINGS)
        read_strings(w, node, where, key, &pos);
    else if (key->type == SM_CONFIG_HEADERS)
        read_headers(w, node, where, key, &pos);
    else
        read_scalar(w, node, where, key, &pos);
}

/* Names of keys hold nothing else; "rules[]" or "a.b" written by a user never reach the table. */
static bool is_key_name(struct sm_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || (name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
              name.ptr[i] == '_'))
            return false;
    return name.len > 0 && name.len <= 40;
}

static void unknown_key(const struct walk *w, struct sm_str name, const struct sm_config_where *where,
                        const struct sm_config_pos *pos)
{
    char prefix[SM_CONFIG_PATH_MAX + 1], advice[400];
    snprintf(prefix, sizeof prefix, "%s%s", where->path, where->path[0] ? "." : "");
    sm_config_key_advice(sm_str_c(prefix), name, advice, sizeof advice);
    problem(w->reader, pos, where, "unknown key \"%.*s\"%s", (int)SM_MIN(name.len, (size_t)60), name.ptr, advice);
}

static void read_pair(const struct walk *w, struct fy_node_pair *pair, const struct sm_config_where *outer,
                      const struct sm_config_pos *outer_pos)
{
    struct fy_node *key_node = fy_node_pair_key(pair);
    struct sm_config_pos pos = position(w, key_node, outer_pos);
    if (!key_node || !fy_node_is_scalar(key_node) || fy_node_is_alias(key_node)) {
        problem(w->reader, &pos, outer, "keys must be plain names");
        return;
    }
    struct sm_str name = scalar(key_node);
    struct sm_config_where where = {.base = outer->base};
    const char *dot = outer->path[0] ? "." : "";
    snprintf(where.path, sizeof where.path, "%.100s%s%.*s", outer->path, dot, (int)SM_MIN(name.len, (size_t)50),
             name.ptr);
    snprintf(where.shown, sizeof where.shown, "%.100s%s%.*s", outer->shown, dot, (int)SM_MIN(name.len, (size_t)50),
             name.ptr);
    struct sm_str path = sm_str_c(where.path);
    if (!is_key_name(name) || (!sm_config_key_find(path) && !sm_config_key_is_section(path)))
        unknown_key(w, name, outer, &pos);
    else
        read_node(w, fy_node_pair_value(pair), &where, &pos);
}

static void read_map(const struct walk *w, struct fy_node *node, const struct sm_config_where *where,
                     const struct sm_config_pos *pos)
{
    if (is_null(node))
        return;
    if (!fy_node_is_mapping(node)) {
        problem(w->reader, pos, where, "needs a map of keys, not %s",
                fy_node_is_scalar(node) ? "a single value" : "a list");
        return;
    }
    void *it = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(node, &it)))
        read_pair(w, pair, where, pos);
}

/* ---- documents ---- */

static void report_yaml_error(const struct sm_config_reader *r, struct fy_diag *diag,
                              const struct sm_config_where *where)
{
    void *it = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &it);
    struct sm_config_pos pos = {.file = r->file};
    if (error && error->line > 0) {
        pos.line = (uint32_t)error->line;
        pos.column = (uint32_t)SM_MAX(error->column, 1);
    }
    problem(r, &pos, where, "not valid YAML: %s", error && error->msg ? error->msg : "cannot be read");
}

/* The parser is given only text that it cannot trip over: UTF-8 without control characters. */
static bool check_bytes(const struct sm_config_reader *r, struct sm_str text, const struct sm_config_where *where)
{
    const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
    struct sm_config_pos pos = {r->file, 1, 1};
    while (p < end) {
        size_t len = sm_utf8_char(p, end);
        if (len == 0 || (*p < 0x20 && !is_space((char)*p)) || *p == 0x7f) {
            problem(r, &pos, where, "%s 0x%02x", len ? "control character" : "not UTF-8: byte", *p);
            return false;
        }
        pos.column++;
        if (*p == '\n') {
            pos.line++;
            pos.column = 1;
        }
        p += len;
    }
    return true;
}

static void read_documents(const struct walk *w, struct fy_parser *parser, struct fy_diag *diag,
                           const struct sm_config_where *where)
{
    const struct sm_config_pos start = {w->reader->file, 1, 1};
    struct fy_document *document = fy_parse_load_document(parser);
    struct fy_node *root = document ? fy_document_root(document) : NULL;
    void *it = NULL;
    if (!document && (fy_diag_got_error(diag) || fy_diag_errors_iterate(diag, &it)))
        report_yaml_error(w->reader, diag, where);
    else if (root)
        read_node(w, root, where, &start);
    struct fy_document *second = document ? fy_parse_load_document(parser) : NULL;
    if (second)
        problem(w->reader, &start, where, "holds more than one YAML document");
    else if (document && fy_diag_got_error(diag))
        report_yaml_error(w->reader, diag, where);
    fy_parse_document_destroy(parser, second);
    fy_parse_document_destroy(parser, document);
}

void sm_config_yaml_read(const struct sm_config_reader *reader, struct sm_str text, const struct sm_config_where *where)
{
    if (!check_bytes(reader, text, where))
        return;
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    SM_ASSERT(diag);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_JSON_NONE, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);
    SM_ASSERT(parser);
    if (fy_parser_set_string(parser, text.ptr, text.len) == 0)
        read_documents(&(struct walk){reader, text}, parser, diag, where);
    else
        report_yaml_error(reader, diag, where);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
}
