/* Defaults, files, assignments, and what must hold between keys. */
#include "app/config.h"
#include "app/config_listeners.h"
#include "app/config_value.h"
#include "app/config_yaml.h"
#include "app/kafka_config.h"
#include "app/receivers.h"

#include <errno.h>
#include <stdlib.h>

/* ---- report ---- */

void sm_config_report_add(struct sm_config_report *report, const struct sm_config_pos *pos, const char *format, ...)
{
    if (report->count++ >= SM_CONFIG_REPORT_MAX)
        return;
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (pos && pos->file && pos->line)
        sm_buf_printf(&report->text, "%s:%u:%u: ", pos->file, pos->line, pos->column);
    else if (pos && pos->file)
        sm_buf_printf(&report->text, "%s: ", pos->file);
    sm_buf_puts(&report->text, text);
    sm_buf_putc(&report->text, '\n');
}

const char *sm_config_report_text(struct sm_config_report *report)
{
    if (report->count > SM_CONFIG_REPORT_MAX) {
        sm_buf_printf(&report->text, "... and %u more\n", report->count - SM_CONFIG_REPORT_MAX);
        report->count = SM_CONFIG_REPORT_MAX;
    }
    sm_buf_putc(&report->text, '\0');
    report->text.size--;
    return (const char *)report->text.data;
}

void sm_config_report_fini(struct sm_config_report *report)
{
    sm_buf_fini(&report->text);
    report->count = 0;
}

/* ---- life ---- */

struct sm_config *sm_config_new(void)
{
    struct sm_config *c = sm_xcalloc(1, sizeof *c);
    c->http = sm_http_limits_default;
    c->codec = sm_codec_limits_default;
    c->places = sm_xcalloc(sm_config_key_count, sizeof *c->places);
    sm_config_default_below("", c);
    return c;
}

void sm_config_free(struct sm_config *c)
{
    if (!c)
        return;
    sm_config_fini_below("", c);
    for (size_t i = 0; i < c->sources.n; i++)
        free(c->sources.items[i]);
    free(c->sources.items);
    free(c->places);
    free(c);
}

/* A copy of the name that lives as long as the configuration. */
static const char *add_source(struct sm_config *c, const char *name)
{
    c->sources.items = sm_xrealloc(c->sources.items, (c->sources.n + 1) * sizeof c->sources.items[0]);
    return c->sources.items[c->sources.n++] = sm_xstrndup(name, strlen(name));
}

/* ---- files ---- */

bool sm_config_load_text(struct sm_config *c, const char *name, struct sm_str text, struct sm_config_report *report)
{
    unsigned before = report->count;
    struct sm_config_reader reader = {add_source(c, name), report, c->places};
    sm_config_yaml_read(&reader, text, &(struct sm_config_where){.base = c});
    return report->count == before;
}

static bool read_file(const char *path, struct sm_buf *out, struct sm_config_report *report)
{
    struct sm_config_pos pos = {.file = path};
    FILE *f = fopen(path, "re");
    if (!f) {
        sm_config_report_add(report, &pos, "cannot be opened: %s", strerror(errno));
        return false;
    }
    sm_buf_reserve(out, SM_CONFIG_FILE_SIZE_MAX + 1);
    out->size = fread(out->data, 1, SM_CONFIG_FILE_SIZE_MAX + 1, f);
    bool failed = ferror(f);
    if (failed)
        sm_config_report_add(report, &pos, "cannot be read: %s", strerror(errno));
    else if (out->size > SM_CONFIG_FILE_SIZE_MAX)
        sm_config_report_add(report, &pos, "is larger than %d bytes", SM_CONFIG_FILE_SIZE_MAX);
    fclose(f);
    return !failed && out->size <= SM_CONFIG_FILE_SIZE_MAX;
}

bool sm_config_load(struct sm_config *c, const char *path, struct sm_config_report *report)
{
    struct sm_buf text = {0};
    bool ok = read_file(path, &text, report) && sm_config_load_text(c, path, sm_buf_str(&text), report);
    sm_buf_fini(&text);
    return ok;
}

/* ---- assignments ---- */

static const struct sm_config_pos set_pos = {.file = "--set"};

/* Position or name in brackets -> the item; NULL when there is none. All item structs have their name as text at the
 * key
 * "<list>[].name". */
static void *find_item(const struct sm_config_key *key, const struct sm_config_list *list, struct sm_str selector)
{
    char name_path[SM_CONFIG_PATH_MAX], *end;
    snprintf(name_path, sizeof name_path, "%s[].name", key->path);
    const struct sm_config_key *name_key = sm_config_key_find(sm_str_c(name_path));
    for (size_t i = 0; name_key && i < list->n; i++) {
        char *item = sm_config_list_item(key, list, i);
        const char *name = *(char **)(item + name_key->offset);
        if (name && sm_str_eq(sm_str_c(name), selector))
            return item;
    }
    unsigned long i = strtoul(selector.ptr, &end, 10);
    bool is_number =
        selector.len && selector.ptr[0] >= '0' && selector.ptr[0] <= '9' && end == selector.ptr + selector.len;
    return is_number && i < list->n ? sm_config_list_item(key, list, i) : NULL;
}

/* Splits "sinks[backup].endpoint" into the item and the path in the table; false after a report. */
static bool resolve(struct sm_config *c, struct sm_str name, struct sm_config_where *where,
                    struct sm_config_report *report)
{
    *where = (struct sm_config_where){.base = c};
    snprintf(where->shown, sizeof where->shown, "%.*s", SM_STR_ARG(name));
    const char *open = memchr(name.ptr, '[', name.len);
    if (!open) {
        snprintf(where->path, sizeof where->path, "%.*s", SM_STR_ARG(name));
        return true;
    }
    const char *close = memchr(open, ']', (size_t)(name.ptr + name.len - open));
    const struct sm_config_key *key = sm_config_key_find(sm_str(name.ptr, (size_t)(open - name.ptr)));
    if (!close || close + 1 == name.ptr + name.len || close[1] != '.' || !key || key->type != SM_CONFIG_LIST) {
        sm_config_report_add(report, &set_pos, "%s: not a key; write for example sinks[0].timeout", where->shown);
        return false;
    }
    struct sm_str selector = sm_str(open + 1, (size_t)(close - open - 1));
    where->base = find_item(key, (const void *)((char *)c + key->offset), selector);
    if (!where->base) {
        sm_config_report_add(report, &set_pos, "%s: there is no item \"%.*s\"", where->shown, SM_STR_ARG(selector));
        return false;
    }
    snprintf(where->path, sizeof where->path, "%s[]%.*s", key->path, (int)(name.ptr + name.len - close - 1), close + 1);
    return true;
}

static void unknown_assigned(const struct sm_config_where *where, struct sm_config_report *report)
{
    char advice[400];
    const char *dot = strrchr(where->path, '.');
    size_t prefix = dot ? (size_t)(dot + 1 - where->path) : 0;
    if (prefix && !sm_config_key_is_section(sm_str(where->path, prefix - 1)))
        prefix = 0;
    sm_config_key_advice(sm_str(where->path, prefix), sm_str_c(where->path + prefix), advice, sizeof advice);
    sm_config_report_add(report, &set_pos, "unknown key \"%s\"%s", where->shown, advice);
}

static bool is_scalar(const struct sm_config_key *key)
{
    return key->type != SM_CONFIG_LIST && key->type != SM_CONFIG_STRINGS && key->type != SM_CONFIG_HEADERS;
}

bool sm_config_set(struct sm_config *c, const char *assignment, struct sm_config_report *report)
{
    unsigned before = report->count;
    size_t name_len = strcspn(assignment, "=");
    if (assignment[name_len] != '=' || name_len == 0 || name_len >= SM_CONFIG_PATH_MAX / 2) {
        sm_config_report_add(report, &set_pos, "\"%.80s\" is not key=value", assignment);
        return false;
    }
    struct sm_config_where where;
    if (!resolve(c, sm_str(assignment, name_len), &where, report))
        return false;
    struct sm_str path = sm_str_c(where.path), value = sm_str_c(assignment + name_len + 1);
    const struct sm_config_key *key = sm_config_key_find(path);
    struct sm_config_reader reader = {set_pos.file, report, c->places};
    if (key && !strchr(key->path, '['))
        c->places[key - sm_config_keys] = set_pos;
    if (key && is_scalar(key))
        sm_config_scalar_read(&reader, value, &where, key, &set_pos);
    else if (key || sm_config_key_is_section(path))
        sm_config_yaml_read(&reader, value, &where);
    else
        unknown_assigned(&where, report);
    return report->count == before;
}

/* ---- between keys ---- */

const struct sm_config_pos *sm_config_place(const struct sm_config *c, const char *path)
{
    const struct sm_config_key *key = sm_config_key_find(sm_str_c(path));
    SM_ASSERT(key);
    return &c->places[key - sm_config_keys];
}

/* Of two keys that contradict each other the one that was written; the first if both were. */
static const struct sm_config_pos *place_of_either(const struct sm_config *c, const char *first, const char *second)
{
    const struct sm_config_pos *place = sm_config_place(c, first);
    return place->file ? place : sm_config_place(c, second);
}

static void validate_rule(const struct sm_config_rule *rule, size_t i, struct sm_config_report *report)
{
    bool has_rate = rule->rate.spans_per_second >= 0;
    int actions = rule->keep + rule->drop + (rule->ratio >= 0) + has_rate;
    if (actions != 1)
        sm_config_report_add(report, &rule->pos,
                             "rules[%zu]: needs exactly one of keep, drop, ratio and rate.spans_per_second, has %s", i,
                             actions ? "several" : "none");
    if (!has_rate && rule->rate.burst >= 0)
        sm_config_report_add(report, &rule->pos, "rules[%zu]: rate.burst without rate.spans_per_second", i);
    if (rule->ratio < 0 && rule->of != SM_CONFIG_OF_ORIGINAL)
        sm_config_report_add(report, &rule->pos, "rules[%zu]: of has a meaning only with ratio", i);
    if (!has_rate && rule->otherwise != SM_CONFIG_ELSE_DROP)
        sm_config_report_add(report, &rule->pos, "rules[%zu]: else has a meaning only with rate", i);
}

/* Two items of one name: the later one is reported. */
static void validate_names(const char *list, const char *name, const char *other, size_t i,
                           const struct sm_config_pos *pos, struct sm_config_report *report)
{
    if (name && other && strcmp(name, other) == 0)
        sm_config_report_add(report, pos, "%s[%zu]: the name \"%s\" is taken", list, i, name);
}

static void validate_rules(const struct sm_config_rules *rules, struct sm_config_report *report)
{
    for (size_t i = 0; i < rules->n; i++) {
        validate_rule(&rules->items[i], i, report);
        for (size_t j = 0; j < i; j++)
            validate_names("rules", rules->items[i].name, rules->items[j].name, i, &rules->items[i].pos, report);
    }
}

/* A host, perhaps behind a scheme that we speak; the sink itself takes the rest apart. */
static bool is_endpoint(const char *text)
{
    const char *scheme_end = strstr(text, "://");
    if (scheme_end && strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
        return false;
    const char *host = scheme_end ? scheme_end + 3 : text;
    return *host && !strchr("/:?#", *host) && !strpbrk(host, " \"<>\\^`{|}");
}

static void validate_tls(const struct sm_config_sink *sink, size_t i, struct sm_config_report *report)
{
    if (!sink->tls.cert != !sink->tls.key)
        sm_config_report_add(report, &sink->pos, "sinks[%zu].tls: cert and key belong together", i);
    if (sink->tls.insecure && sink->tls.ca)
        sm_config_report_add(report, &sink->pos, "sinks[%zu].tls: insecure contradicts ca", i);
}

static void validate_sinks(const struct sm_config_sinks *sinks, struct sm_config_report *report)
{
    for (size_t i = 0; i < sinks->n; i++) {
        const struct sm_config_sink *sink = &sinks->items[i];
        if (sink->endpoint && !is_endpoint(sink->endpoint))
            sm_config_report_add(report, &sink->pos,
                                 "sinks[%zu].endpoint: \"%.200s\" is no endpoint; write for example http://127.0.0.1:4318",
                                 i, sink->endpoint);
        if (sink->http2 && sink->type != SM_CONFIG_SINK_OTLP_HTTP)
            sm_config_report_add(report, &sink->pos, "sinks[%zu].http2 has a meaning only for otlp_http", i);
        validate_tls(sink, i, report);
        if (sink->retry.initial_ns > sink->retry.max_ns)
            sm_config_report_add(report, &sink->pos, "sinks[%zu].retry: initial is longer than max", i);
        validate_names("sinks", sink->name, "store", i, &sink->pos, report);
        for (size_t j = 0; j < i; j++)
            validate_names("sinks", sink->name, sinks->items[j].name, i, &sink->pos, report);
    }
}

static void report_meeting(const struct sm_config *c, const char *name, const char *other_name, const char *address,
                           struct sm_config_report *report)
{
    char key[64], other_key[64];
    snprintf(key, sizeof key, "listen.%s", name);
    snprintf(other_key, sizeof other_key, "listen.%s", other_name);
    sm_config_report_add(report, place_of_either(c, key, other_key), "%s and %s both want %s", key, other_key, address);
}

/* No two listeners may want the same port, but for those of one receiver, which speaks both of its protocols on any. */
static void validate_listeners(const struct sm_config *c, struct sm_config_report *report)
{
    const char *name, *other_name;
    size_t offset, other_offset;
    for (unsigned i = 0; sm_config_listeners_at(i, &name, &offset); i++) {
        const char *address = *(char *const *)((const char *)c + offset);
        const struct sm_receiver_ops *receiver = sm_receivers_at(offset);
        for (unsigned k = 0; k < i && sm_config_listeners_at(k, &other_name, &other_offset); k++) {
            const char *other = *(char *const *)((const char *)c + other_offset);
            if (sm_receivers_meet(address, other) && !(receiver && receiver == sm_receivers_at(other_offset)))
                report_meeting(c, other_name, name, address, report);
        }
    }
}

static void report_order(const struct sm_config *c, const char *key, const char *relation, const char *other,
                         struct sm_config_report *report)
{
    sm_config_report_add(report, place_of_either(c, key, other), "%s must not be %s %s", key, relation, other);
}

static void validate_windows(const struct sm_config *c, struct sm_config_report *report)
{
    if (c->windows.after_root_ns > c->windows.max_age_ns)
        report_order(c, "windows.max_age", "shorter than", "windows.after_root", report);
    if (c->windows.idle_ns > c->windows.max_age_ns)
        report_order(c, "windows.max_age", "shorter than", "windows.idle", report);
}

bool sm_config_validate(const struct sm_config *c, struct sm_config_report *report)
{
    unsigned before = report->count;
    validate_listeners(c, report);
    sm_config_listeners_validate(c, report);
    validate_rules(&c->rules, report);
    validate_sinks(&c->sinks, report);
    sm_kafka_config_validate(&c->kafka, report);
    validate_windows(c, report);
    if (c->sampling.adaptive.least > c->sampling.adaptive.initial)
        report_order(c, "sampling.adaptive.least", "above", "sampling.adaptive.initial", report);
    if (c->memory.soft > c->memory.hard)
        report_order(c, "memory.soft", "above", "memory.hard", report);
    if (c->codec.value_bytes_max > c->codec.span_bytes_max)
        report_order(c, "limits.value_bytes_max", "above", "limits.span_bytes_max", report);
    if (c->query.base_path[0] != '/')
        sm_config_report_add(report, sm_config_place(c, "query.base_path"), "query.base_path must begin with /");
    return report->count == before;
}

struct sm_config_pos sm_config_query_pos(const struct sm_config_query *query, size_t offset)
{
    return query->places && offset <= strlen(query->text) ? query->places[offset] : query->pos;
}
