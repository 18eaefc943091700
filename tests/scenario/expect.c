/* Subjects of `expect`:  NAME.WHAT or NAME.WHAT(ARGUMENT, ...). Each becomes a text, which is compared with the value. */
#include "expect.h"

#include "span/attr.h"
#include "words.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

enum { ARGS_MAX = 12 };

/* NAME.WHAT(ARGS), taken apart. */
struct subject {
    struct scene *scene;
    unsigned line;
    char text[1024];
    const char *name, *what;
    const char *args[ARGS_MAX];
    unsigned arg_count;
};

static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return text;
}

static void split_args(struct subject *q, char *args)
{
    while (args && q->arg_count < ARGS_MAX) {
        char *comma = strchr(args, ',');
        if (comma)
            *comma = '\0';
        q->args[q->arg_count++] = trimmed(args);
        args = comma ? comma + 1 : NULL;
    }
}

static bool parse_subject(struct subject *q, const char *text)
{
    snprintf(q->text, sizeof q->text, "%s", text);
    char *dot = strchr(q->text, '.');
    if (!dot)
        return false;
    *dot = '\0';
    q->name = q->text;
    q->what = dot + 1;
    char *open = strchr(dot + 1, '(');
    size_t size = open ? strlen(open) : 0;
    if (open && open[size - 1] != ')')
        return false;
    if (open) {
        open[size - 1] = '\0';
        *open = '\0';
        split_args(q, open + 1);
    }
    return true;
}

static bool bad(const struct subject *q, const char *why)
{
    return scene_fail(q->scene, q->line, "%s.%s: %s", q->name, q->what, why);
}

/* --- metrics --- */

/* True when the rendered labels hold key="value" for an argument `key=value`. */
static bool has_label(struct sm_str labels, const char *arg)
{
    char wanted[300];
    const char *equals = strchr(arg, '=');
    snprintf(wanted, sizeof wanted, "%.*s=\"%s\"", equals ? (int)(equals - arg) : 0, arg, equals ? equals + 1 : "");
    size_t size = strlen(wanted);
    for (const char *p = labels.ptr; (p = memmem(p, labels.len - (size_t)(p - labels.ptr), wanted, size)); p++) {
        if (p == labels.ptr || p[-1] == ',' || p[-1] == '{')
            return true;
    }
    return false;
}

static bool is_metric(struct sm_str name, const char *wanted)
{
    static const char prefix[] = "spanmill_";
    size_t n = sizeof prefix - 1;
    if (sm_str_eq(name, sm_str_c(wanted)))
        return true;
    return name.len > n && memcmp(name.ptr, prefix, n) == 0 &&
           sm_str_eq(sm_str(name.ptr + n, name.len - n), sm_str_c(wanted));
}

/* One line of an exposition: adds its value when it is the metric with all the labels. */
static void take_sample(const struct subject *q, char *line, double *sum, bool *known)
{
    if (line[0] == '#' || !line[0])
        return;
    char *value = strrchr(line, ' ');
    size_t name_size = strcspn(line, "{ ");
    if (!value || !is_metric(sm_str(line, name_size), q->args[0]))
        return;
    *known = true;
    for (unsigned i = 1; i < q->arg_count; i++) {
        if (!has_label(sm_str(line + name_size, (size_t)(value - line) - name_size), q->args[i]))
            return;
    }
    *sum += strtod(value + 1, NULL);
}

static bool put_stat(struct subject *q, struct sm_buf *out)
{
    struct sm_buf text = {0};
    double sum = 0;
    bool known = false;
    if (!q->arg_count)
        return bad(q, "needs a metric's name");
    sm_prom_registry_scrape(q->scene->metrics, SM_PROM_TEXT, NULL, &text);
    sm_buf_putc(&text, '\0');
    char *save = NULL;
    for (char *line = strtok_r((char *)text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        take_sample(q, line, &sum, &known);
    sm_buf_fini(&text);
    sm_buf_printf(out, "%.9g", sum);
    /* Families of series are absent while they have none. */
    return known || strncmp(q->args[0], "traces_", 7) == 0 || bad(q, "no such metric");
}

/* --- the graph --- */

static bool snapshot(struct subject *q, unsigned first_arg, struct sm_graph *graph)
{
    int64_t from_ns = -400 * INT64_C(86400) * SM_SEC, to_ns = -from_ns;
    if (q->arg_count > first_arg && !words_duration(q->args[first_arg], &from_ns))
        return bad(q, "the range is two durations from the scenario's start");
    if (q->arg_count > first_arg + 1 && !words_duration(q->args[first_arg + 1], &to_ns))
        return bad(q, "the range is two durations from the scenario's start");
    if (!q->scene->engine->dependency)
        return bad(q, "the graph is off");
    sm_dependency_snapshot(q->scene->engine->dependency, (SCENE_START_NS + from_ns) / SM_MS,
                           (SCENE_START_NS + to_ns) / SM_MS, SM_EDGES_ANY_SOURCE, graph);
    return true;
}

static void put_edge(struct sm_buf *out, const struct sm_graph_edge *e)
{
    sm_buf_printf(out, "%s%.*s->%.*s calls=%" PRIu64 " errors=%" PRIu64, out->size ? "; " : "", SM_STR_ARG(e->parent),
                  SM_STR_ARG(e->child), e->calls, e->errors);
}

/* graph(FROM, TO): all edges. */
static bool put_graph(struct subject *q, struct sm_buf *out)
{
    struct sm_graph graph = {0};
    if (!snapshot(q, 0, &graph))
        return false;
    for (size_t i = 0; i < graph.count; i++)
        put_edge(out, &graph.edges[i]);
    sm_graph_fini(&graph);
    return true;
}

/* edge(PARENT->CHILD, FROM, TO): one, with its types and latency. */
static bool put_one_edge(struct subject *q, struct sm_buf *out)
{
    struct sm_graph graph = {0};
    const char *arrow = q->arg_count ? strstr(q->args[0], "->") : NULL;
    if (!arrow)
        return bad(q, "needs PARENT->CHILD");
    if (!snapshot(q, 1, &graph))
        return false;
    const struct sm_graph_edge *e =
        sm_graph_find(&graph, sm_str(q->args[0], (size_t)(arrow - q->args[0])), sm_str_c(arrow + 2));
    char types[SM_EDGE_TYPES_SIZE];
    if (e)
        sm_buf_printf(out, "%s calls=%" PRIu64 " errors=%" PRIu64 " timed=%" PRIu64, sm_edge_types_text(e->types, types),
                      e->calls, e->errors, (uint64_t)e->latency.count);
    else
        sm_buf_puts(out, "none");
    sm_graph_fini(&graph);
    return true;
}

/* --- rules --- */

static const char *rule_name(const struct scene *s, uint16_t rule)
{
    const struct sm_policy *policy = sm_rules_policy(s->engine->rules);
    return policy->rule_name(policy->rules, rule);
}

static bool put_rule_counts(struct subject *q, struct sm_buf *out)
{
    const struct sm_policy *policy = sm_rules_policy(q->scene->engine->rules);
    for (unsigned i = 0; i <= policy->rule_count; i++) {
        uint16_t rule = i < policy->rule_count ? (uint16_t)i : SM_RULE_DEFAULT;
        if (q->arg_count != 1 || strcmp(rule_name(q->scene, rule), q->args[0]) != 0)
            continue;
        struct sm_rule_counts c = sm_rules_counts(q->scene->engine->rules, rule);
        sm_buf_printf(out, "matched=%" PRIu64 " keep=%" PRIu64 " drop=%" PRIu64 " limit=%" PRIu64, c.matched, c.keep,
                      c.drop, c.limit);
        return true;
    }
    return bad(q, "no such rule");
}

static bool put_balance(struct subject *q, struct sm_buf *out)
{
    char problem[512];
    scene_balance(q->scene, problem);
    sm_buf_puts(out, problem[0] ? problem : "balanced");
    return true;
}

/* --- sinks --- */

/* Arguments TRACE and, for single spans, SPAN and perhaps SERVICE. */
struct chosen {
    struct sm_trace_id trace;
    uint64_t span;
    const char *service;
};

static bool choose(struct subject *q, unsigned needed, struct chosen *c)
{
    *c = (struct chosen){0};
    if (q->arg_count < needed)
        return bad(q, needed > 1 ? "needs TRACE, SPAN" : "needs TRACE");
    if (q->arg_count > 0 && sm_trace_id_parse(sm_str_c(q->args[0]), &c->trace) != SM_OK)
        return bad(q, "not a trace id");
    if (q->arg_count > 1 && sm_span_id_parse(sm_str_c(q->args[1]), &c->span) != SM_OK)
        return bad(q, "not a span id");
    c->service = q->arg_count > 2 ? q->args[2] : NULL;
    return true;
}

static bool is_chosen(const struct captured_span *s, const struct chosen *c)
{
    return sm_trace_id_eq(s->trace, c->trace) && (!c->span || s->id == c->span) &&
           (!c->service || strcmp(s->service, c->service) == 0);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, so that the number of shards does not show. */
static void put_sorted(struct sm_buf *out, char **texts, size_t count)
{
    if (count)
        qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        sm_buf_printf(out, "%s%s", i ? " " : "", texts[i]);
        free(texts[i]);
    }
    free(texts);
}

static char *field_text(const struct subject *q, const struct captured_span *s)
{
    struct sm_buf text = {0};
    if (strcmp(q->what, "names") == 0 || strcmp(q->what, "name") == 0)
        sm_buf_puts(&text, s->name ? s->name : "");
    else if (strcmp(q->what, "services") == 0)
        sm_buf_puts(&text, s->service);
    else if (strcmp(q->what, "tracestate") == 0)
        sm_buf_puts(&text, s->tracestate ? s->tracestate : "");
    else if (strcmp(q->what, "kind") == 0)
        sm_buf_puts(&text, sm_kind_name((enum sm_kind)s->kind));
    else if (strcmp(q->what, "status") == 0)
        sm_buf_puts(&text, sm_status_name((enum sm_status)s->status));
    else if (strcmp(q->what, "parent") == 0)
        sm_buf_printf(&text, "%" PRIx64, s->parent_id);
    else
        sm_buf_printf(&text, "%" PRIx64, s->id);
    sm_buf_putc(&text, '\0');
    return (char *)text.data;
}

static bool put_fields(struct subject *q, struct sm_buf *out, unsigned needed)
{
    struct capture *c = scene_sink(q->scene, q->name);
    struct chosen chosen;
    if (!choose(q, needed, &chosen))
        return false;
    char **texts = sm_xmalloc((c->span_count + 1) * sizeof *texts);
    size_t n = 0;
    for (size_t i = 0; i < c->span_count; i++) {
        if (is_chosen(&c->spans[i], &chosen))
            texts[n++] = field_text(q, &c->spans[i]);
    }
    put_sorted(out, texts, n);
    return true;
}

static bool put_trace_fields(struct subject *q, struct sm_buf *out)
{
    return put_fields(q, out, 1);
}

static bool put_span_fields(struct subject *q, struct sm_buf *out)
{
    return put_fields(q, out, 2);
}

/* attr(TRACE, SPAN, KEY) */
static bool put_attr(struct subject *q, struct sm_buf *out)
{
    struct capture *c = scene_sink(q->scene, q->name);
    struct chosen chosen;
    if (!choose(q, 3, &chosen))
        return false;
    const char *key = chosen.service;
    chosen.service = NULL;
    struct sm_value value;
    for (size_t i = 0; i < c->span_count; i++) {
        const struct captured_span *s = &c->spans[i];
        if (is_chosen(s, &chosen) && sm_attr_find(s->bytes.ptr, s->bytes.len, SM_OTLP_ATTRIBUTES, sm_str_c(key), &value))
            sm_value_text(&value, out);
    }
    return true;
}

static bool is_first_of_trace(const struct capture *c, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (sm_trace_id_eq(c->traces[k].id, c->traces[i].id))
            return false;
    }
    return true;
}

/* rule(TRACE), trigger(TRACE), threshold(TRACE): of each write of that trace. */
static bool put_decision(struct subject *q, struct sm_buf *out)
{
    struct capture *c = scene_sink(q->scene, q->name);
    struct chosen chosen;
    if (!choose(q, 1, &chosen))
        return false;
    for (size_t i = 0; i < c->trace_count; i++) {
        const struct captured_trace *t = &c->traces[i];
        char threshold[SM_THRESHOLD_TEXT_SIZE];
        if (!sm_trace_id_eq(t->id, chosen.trace))
            continue;
        sm_threshold_text(t->threshold, threshold);
        const char *text = strcmp(q->what, "rule") == 0      ? rule_name(q->scene, t->rule)
                           : strcmp(q->what, "trigger") == 0 ? sm_trigger_name((enum sm_trigger)t->trigger)
                                                             : threshold;
        sm_buf_printf(out, "%s%s", out->size ? " " : "", text);
    }
    return true;
}

static bool put_count(struct subject *q, struct sm_buf *out)
{
    const struct capture *c = scene_sink(q->scene, q->name);
    uint64_t n = 0;
    if (strcmp(q->what, "spans") == 0) {
        struct chosen chosen;
        if (!choose(q, 0, &chosen))
            return false;
        for (size_t i = 0; i < c->span_count; i++)
            n += !q->arg_count || is_chosen(&c->spans[i], &chosen);
    } else if (strcmp(q->what, "traces") == 0) {
        for (size_t i = 0; i < c->trace_count; i++)
            n += is_first_of_trace(c, i);
    } else {
        n = strcmp(q->what, "writes") == 0     ? c->trace_count
            : strcmp(q->what, "attempts") == 0 ? c->attempts
            : strcmp(q->what, "held") == 0     ? c->held_count
            : strcmp(q->what, "flushes") == 0  ? c->flushes
                                               : c->batches;
    }
    sm_buf_printf(out, "%" PRIu64, n);
    return true;
}

/* --- clients --- */

static const char *result_text(enum sm_rc rc)
{
    switch (rc) {
    case SM_OK:
        return "ok";
    case SM_E_AGAIN:
        return "again";
    case SM_E_LIMIT:
        return "limit";
    case SM_E_INVALID:
        return "invalid";
    case SM_E_TRUNCATED:
        return "truncated";
    default:
        return sm_rc_name(rc);
    }
}

static bool put_client(struct subject *q, struct sm_buf *out)
{
    const struct client *c = scene_client(q->scene, q->name);
    if (strcmp(q->what, "result") == 0)
        sm_buf_puts(out, result_text(c->result.rc));
    else if (strcmp(q->what, "text") == 0)
        sm_buf_puts(out, c->result.text);
    else
        sm_buf_printf(out, "%u", strcmp(q->what, "accepted") == 0 ? c->accepted : c->rejected);
    return true;
}

/* --- comparing --- */

enum whose { OF_PROCESS, OF_SINK, OF_CLIENT };

static const struct {
    enum whose whose;
    const char *what;
    bool (*put)(struct subject *q, struct sm_buf *out);
} subjects[] = {
    {OF_PROCESS, "stat", put_stat},         {OF_PROCESS, "graph", put_graph},     {OF_PROCESS, "edge", put_one_edge},
    {OF_PROCESS, "rule", put_rule_counts},  {OF_PROCESS, "balance", put_balance}, {OF_SINK, "spans", put_count},
    {OF_SINK, "traces", put_count},         {OF_SINK, "writes", put_count},       {OF_SINK, "attempts", put_count},
    {OF_SINK, "batches", put_count},        {OF_SINK, "held", put_count},         {OF_SINK, "flushes", put_count},
    {OF_SINK, "ids", put_trace_fields},     {OF_SINK, "names", put_trace_fields}, {OF_SINK, "services", put_trace_fields},
    {OF_SINK, "name", put_span_fields},     {OF_SINK, "kind", put_span_fields},   {OF_SINK, "status", put_span_fields},
    {OF_SINK, "parent", put_span_fields},   {OF_SINK, "attr", put_attr},          {OF_SINK, "tracestate", put_span_fields},
    {OF_SINK, "rule", put_decision},        {OF_SINK, "trigger", put_decision},   {OF_SINK, "threshold", put_decision},
    {OF_CLIENT, "result", put_client},      {OF_CLIENT, "text", put_client},      {OF_CLIENT, "accepted", put_client},
    {OF_CLIENT, "rejected", put_client},
};

static bool put_subject(struct subject *q, struct sm_buf *out)
{
    enum whose whose;
    if (strcmp(q->name, q->scene->name) == 0)
        whose = OF_PROCESS;
    else if (scene_sink(q->scene, q->name))
        whose = OF_SINK;
    else if (scene_client(q->scene, q->name))
        whose = OF_CLIENT;
    else
        return bad(q, "no such process, sink or client");
    for (size_t i = 0; i < SM_ARRAY_LEN(subjects); i++) {
        if (subjects[i].whose == whose && strcmp(subjects[i].what, q->what) == 0)
            return subjects[i].put(q, out);
    }
    return bad(q, "nothing of that name can be looked at");
}

static bool number(const char *text, double *v)
{
    char *end;
    *v = strtod(text, &end);
    return *text && !*end;
}

/* Numbers as numbers, all else as text; `~` is for "contains". */
static bool holds(const char *actual, const char *op, const char *value, bool *known)
{
    double a, b;
    bool numbers = number(actual, &a) && number(value, &b);
    double d = numbers ? a - b : strcmp(actual, value);
    *known = true;
    if (strcmp(op, "==") == 0)
        return d == 0;
    if (strcmp(op, "!=") == 0)
        return d != 0;
    if (strcmp(op, "<") == 0)
        return numbers && d < 0;
    if (strcmp(op, "<=") == 0)
        return numbers && d <= 0;
    if (strcmp(op, ">") == 0)
        return numbers && d > 0;
    if (strcmp(op, ">=") == 0)
        return numbers && d >= 0;
    if (strcmp(op, "~") == 0)
        return strstr(actual, value) != NULL;
    *known = false;
    return false;
}

bool expect(struct scene *s, const struct script_words *words)
{
    struct subject q = {.scene = s, .line = words->line};
    if (words->count < 2 || !parse_subject(&q, words->items[1]))
        return scene_fail(s, words->line, "expect NAME.WHAT(ARGUMENTS) OP VALUE");
    bool is_balance = strcmp(q.what, "balance") == 0;
    if (words->count != (is_balance ? 2 : 4))
        return scene_fail(s, words->line, "expect %s OP VALUE: values with spaces stand in quotes", words->items[1]);
    const char *op = is_balance ? "==" : words->items[2], *value = is_balance ? "balanced" : words->items[3];
    struct sm_buf actual = {0};
    scene_settle(s);
    bool known = true, ok = put_subject(&q, &actual);
    sm_buf_putc(&actual, '\0');
    const char *text = (const char *)actual.data;
    if (ok && !holds(text, op, value, &known))
        ok = known ? scene_fail(s, words->line, "%s\n  expected %s %s\n  actual   %s", words->items[1], op, value, text)
                   : scene_fail(s, words->line, "%s: no such comparison", op);
    sm_buf_fini(&actual);
    return ok;
}
